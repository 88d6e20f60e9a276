// mien._cpu: the Python signatures of the CPU kernels; the types do the checking.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "blend.hpp"
#include "warp_blend.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class T, class Shape>
using Array = nb::ndarray<T, Shape, nb::c_contig, nb::device::cpu>;
using Picture = Array<const std::uint8_t, nb::shape<-1, -1, 3>>;
using Output = Array<std::uint8_t, nb::shape<-1, -1, 3>>;
using Matrix = Array<const double, nb::shape<2, 3>>;
template <class T>
using Map = Array<const T, nb::shape<-1, -1>>;
template <int Planes>
using Planar = Array<const float, nb::shape<Planes, -1, -1>>;

mien::Affine<double> affine(const Matrix& m) { return {m(0, 0), m(0, 1), m(0, 2), m(1, 0), m(1, 1), m(1, 2)}; }

template <class A>
mien::Grid grid(const A& array, size_t y_axis = 0) {
    return {static_cast<int>(array.shape(y_axis + 1)), static_cast<int>(array.shape(y_axis))};
}

template <class A, class B>
void same_size(const A& a, const B& b, const char* message, size_t a_axis = 0, size_t b_axis = 0) {
    const bool same = a.shape(a_axis) == b.shape(b_axis) && a.shape(a_axis + 1) == b.shape(b_axis + 1);
    if (!same) throw nb::value_error(message);
}

template <class Mask>
void blend(Output out, Picture frame, Picture patch, Map<Mask> mask, Matrix to_patch, float feather) {
    same_size(out, frame, "out and frame differ in size");
    same_size(patch, mask, "patch and mask differ in size");
    const mien::Blend<Mask> job{out.data(),  frame.data(), grid(frame),      patch.data(),
                                mask.data(), grid(patch),  affine(to_patch), feather};
    const nb::gil_scoped_release released;
    mien::blend_cpu(job);
}

void warp_blend(Output out, Picture source, Planar<2> flow, Map<float> visible, Planar<3> paint, Map<float> mask,
                Matrix to_crop, Matrix to_source) {
    same_size(out, source, "out and source differ in size");
    same_size(visible, mask, "visible and mask differ in size");
    same_size(paint, mask, "paint and mask differ in size", 1);
    const mien::WarpBlend job{out.data(),     source.data(), grid(source), flow.data(), grid(flow, 1),
                              visible.data(), paint.data(),  mask.data(),  grid(mask),  affine(to_crop),
                              affine(to_source)};
    const nb::gil_scoped_release released;
    mien::warp_blend_cpu(job);
}

}  // namespace

NB_MODULE(_cpu, m) {
    m.def("blend", &blend<std::uint8_t>, "out"_a.noconvert(), "frame"_a.noconvert(), "patch"_a.noconvert(),
          "mask"_a.noconvert(), "to_patch"_a.noconvert(), "feather"_a);
    m.def("blend", &blend<float>, "out"_a.noconvert(), "frame"_a.noconvert(), "patch"_a.noconvert(),
          "mask"_a.noconvert(), "to_patch"_a.noconvert(), "feather"_a);
    m.def("warp_blend", &warp_blend, "out"_a.noconvert(), "source"_a.noconvert(), "flow"_a.noconvert(),
          "visible"_a.noconvert(), "paint"_a.noconvert(), "mask"_a.noconvert(), "to_crop"_a.noconvert(),
          "to_source"_a.noconvert());
}
