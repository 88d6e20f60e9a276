// mien._cpu: the Python signatures of the CPU kernels; the types do the checking.
#include "bind_arrays.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace mien;

namespace {

template <class Mask>
void blend(Output out, Picture frame, Picture patch, Map<Mask> mask, Matrix to_patch, float feather) {
    same_size(out, frame, "out and frame differ in size");
    same_size(patch, mask, "patch and mask differ in size");
    const Format format = format_of(0, int(frame.shape(0)), int(frame.shape(1)), Yuv{});
    const Affine<double> place = affine(to_patch);
    const Blend<Mask, std::uint8_t> job{out.data(), frame.data(), format, patch.data(), mask.data(),
                                        true,       grid(patch),  &place, 1,            feather};
    const nb::gil_scoped_release released;
    blend_cpu(job);
}

template <class Mask, class Patch>
void blend_faces(OutBuffer out, Buffer frame, int layout, YuvNumbers yuv, Patches<Patch> patches, Maps<Mask> masks,
                 Matrices to_patch, float feather) {
    const auto places = affines(to_patch);
    const auto job = blend_job<Mask, Patch>(out, frame, layout, yuv, patches, masks, places, feather);
    const nb::gil_scoped_release released;
    blend_cpu(job);
}

void crop(Planes out, Buffer frame, int layout, YuvNumbers yuv, Matrices to_frame) {
    const auto places = affines(to_frame);
    const auto job = crop_job(out, frame, layout, yuv, places);
    const nb::gil_scoped_release released;
    crop_cpu(job);
}

void warp_blend(Output out, Picture source, Planar<2> flow, Map<float> visible, Planar<3> paint, Map<float> mask,
                Matrix to_crop, Matrix to_source, std::optional<Planar<3>> shade) {
    const WarpBlend job = warp_blend_job(out, source, flow, visible, paint, mask, to_crop, to_source, shade);
    const nb::gil_scoped_release released;
    warp_blend_cpu(job);
}

template <class Mask, class Patch>
void def_blend_faces(nb::module_& m) {
    m.def("blend_faces", &blend_faces<Mask, Patch>, "out"_a.noconvert(), "frame"_a.noconvert(), "layout"_a,
          "yuv"_a.noconvert(), "patches"_a.noconvert(), "masks"_a.noconvert(), "to_patch"_a.noconvert(), "feather"_a);
}

}  // namespace

NB_MODULE(_cpu, m) {
    m.def("blend", &blend<std::uint8_t>, "out"_a.noconvert(), "frame"_a.noconvert(), "patch"_a.noconvert(),
          "mask"_a.noconvert(), "to_patch"_a.noconvert(), "feather"_a);
    m.def("blend", &blend<float>, "out"_a.noconvert(), "frame"_a.noconvert(), "patch"_a.noconvert(),
          "mask"_a.noconvert(), "to_patch"_a.noconvert(), "feather"_a);
    def_blend_faces<std::uint8_t, std::uint8_t>(m);
    def_blend_faces<float, std::uint8_t>(m);
    def_blend_faces<std::uint8_t, float>(m);
    def_blend_faces<float, float>(m);
    m.def("crop", &crop, "out"_a.noconvert(), "frame"_a.noconvert(), "layout"_a, "yuv"_a.noconvert(),
          "to_frame"_a.noconvert());
    m.def("warp_blend", &warp_blend, "out"_a.noconvert(), "source"_a.noconvert(), "flow"_a.noconvert(),
          "visible"_a.noconvert(), "paint"_a.noconvert(), "mask"_a.noconvert(), "to_crop"_a.noconvert(),
          "to_source"_a.noconvert(), "shade"_a.noconvert() = nb::none());
}
