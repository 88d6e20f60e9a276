// mien._emulator: what each thread of the CUDA kernels computes, one thread after the other on the CPU, for the tests.
#include "bind_arrays.hpp"
#include "fit.hpp"
#include "keypoints.hpp"
#include "volume.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace mien;

namespace {

template <class Mask, class Patch>
void blend_faces(OutBuffer out, Buffer frame, int layout, YuvNumbers yuv, Patches<Patch> patches, Maps<Mask> masks,
                 Matrices to_patch, float feather) {
    const auto places = affines(to_patch);
    const auto job = blend_job<Mask, Patch>(out, frame, layout, yuv, patches, masks, places, feather);
    if (job.count > kMostPatches) throw nb::value_error("more patches than one launch takes");
    std::copy_n(job.frame, job.format.bytes(), job.out);
    const BlendViews views = blend_views(job);
    const int step = job.format.layout == Layout::nv12 ? 2 : 1;
    for (int y = views.bounds.y.first; y < views.bounds.y.last; y += step)
        for (int x = views.bounds.x.first; x < views.bounds.x.last; x += step)
            step == 2 ? blend_quad(job, views, x, y) : blend_pixel(job, views, x, y);
}

void crop(Planes out, Buffer frame, int layout, YuvNumbers yuv, Matrices to_frame, bool black) {
    const auto places = affines(to_frame);
    const Crop<float> job = crop_job(out, frame, layout, yuv, places);
    const long long size = 3LL * job.crop_grid.width * job.crop_grid.height;
    for (int i = 0; i < job.count; ++i) {
        const CropView view = crop_view(job.to_frame[i], job.crop_grid, job.format.grid, black);
        for (int y = 0; y < job.crop_grid.height; ++y)
            for (int x = 0; x < job.crop_grid.width; ++x)
                crop_pixel(job.out + i * size, job.crop_grid, job.frame, job.format, view, x, y);
    }
}

void warp_blend(Output out, Picture source, Planar<2> flow, Map<float> visible, Planar<3> paint, Map<float> mask,
                Matrix to_crop, Matrix to_source, std::optional<Planar<3>> shade) {
    const WarpBlend job = warp_blend_job(out, source, flow, visible, paint, mask, to_crop, to_source, shade);
    std::copy_n(job.source, source.size(), job.out);
    const WarpView view = warp_view(job);
    for (int y = view.bounds.y.first; y < view.bounds.y.last; ++y)
        for (int x = view.bounds.x.first; x < view.bounds.x.last; ++x) warp_blend_pixel(job, view, x, y);
}

void fit(Planes out, Array<const float, nb::shape<-1, 3, -1, -1>> planes, int height, int width) {
    const Fit job{out.data(), grid(out, 2), planes.data(), grid(planes, 2), {width, height}, 3 * int(planes.shape(0))};
    for (int plane = 0; plane < job.planes; ++plane)
        for (int y = 0; y < job.out_grid.height; ++y)
            for (int x = 0; x < job.out_grid.width; ++x) fit_pixel(job, plane, x, y);
}

template <class T, int Dimensions>
using Tensor = nb::ndarray<T, nb::ndim<Dimensions>, nb::c_contig, nb::device::cpu>;

void sample_volume(Tensor<float, 5> out, Tensor<const float, 5> volume, Tensor<const float, 5> grid) {
    const auto box = [](const auto& tensor, size_t first) {
        return Box3{int(tensor.shape(first)), int(tensor.shape(first + 1)), int(tensor.shape(first + 2))};
    };
    const SampleVolume<float> job{out.data(),    volume.data(), grid.data(), int(out.shape(0)), int(out.shape(1)),
                                  box(volume, 2), box(out, 2)};
    bool same = volume.shape(0) == out.shape(0) && volume.shape(1) == out.shape(1) && grid.shape(0) == out.shape(0);
    for (size_t axis = 1; axis < 4; ++axis) same = same && grid.shape(axis) == out.shape(axis + 1);
    if (!same || grid.shape(4) != 3) throw nb::value_error("out, volume and grid differ in size");
    for (int n = 0; n < job.batch; ++n)
        for (int first = 0; first < job.channels; first += kChannelsPerThread)
            for (long long voxel = 0; voxel < job.size.voxels(); ++voxel)
                sample_voxel(job, n, voxel, first, std::min(first + kChannelsPerThread, job.channels));
}

void place_keypoints(Tensor<float, 3> out, Tensor<const float, 3> canonical, Tensor<const float, 2> angles,
                     Tensor<const float, 3> expression, Tensor<const float, 1> scale,
                     Tensor<const float, 2> translation) {
    const PlaceKeypoints job{out.data(),   canonical.data(),   angles.data(),     expression.data(),
                             scale.data(), translation.data(), int(out.shape(0)), int(out.shape(1))};
    for (int n = 0; n < job.batch; ++n)
        for (int i = 0; i < job.count; ++i) place_keypoint(job, n, i);
}

template <class Mask, class Patch>
void def_blend_faces(nb::module_& m) {
    m.def("blend_faces", &blend_faces<Mask, Patch>, "out"_a.noconvert(), "frame"_a.noconvert(), "layout"_a,
          "yuv"_a.noconvert(), "patches"_a.noconvert(), "masks"_a.noconvert(), "to_patch"_a.noconvert(), "feather"_a);
}

}  // namespace

NB_MODULE(_emulator, m) {
    def_blend_faces<std::uint8_t, std::uint8_t>(m);
    def_blend_faces<float, std::uint8_t>(m);
    def_blend_faces<std::uint8_t, float>(m);
    def_blend_faces<float, float>(m);
    m.def("crop", &crop, "out"_a.noconvert(), "frame"_a.noconvert(), "layout"_a, "yuv"_a.noconvert(),
          "to_frame"_a.noconvert(), "black"_a = false);
    m.def("fit", &fit, "out"_a.noconvert(), "planes"_a.noconvert(), "height"_a, "width"_a);
    m.def("place_keypoints", &place_keypoints, "out"_a.noconvert(), "canonical"_a.noconvert(), "angles"_a.noconvert(),
          "expression"_a.noconvert(), "scale"_a.noconvert(), "translation"_a.noconvert());
    m.def("sample_volume", &sample_volume, "out"_a.noconvert(), "volume"_a.noconvert(), "grid"_a.noconvert());
    m.def("warp_blend", &warp_blend, "out"_a.noconvert(), "source"_a.noconvert(), "flow"_a.noconvert(),
          "visible"_a.noconvert(), "paint"_a.noconvert(), "mask"_a.noconvert(), "to_crop"_a.noconvert(),
          "to_source"_a.noconvert(), "shade"_a.noconvert() = nb::none());
}
