// mien._cuda: the CUDA kernels on raw device addresses. Nothing here needs a GPU or a driver until a kernel is started.
#include <cuda_runtime_api.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>

#include "blend.hpp"
#include "warp_blend.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Address = std::uintptr_t;
using Size = std::pair<int, int>;  // height, width
using Matrix = nb::ndarray<const double, nb::shape<2, 3>, nb::c_contig, nb::device::cpu>;

mien::Affine<double> affine(const Matrix& m) { return {m(0, 0), m(0, 1), m(0, 2), m(1, 0), m(1, 1), m(1, 2)}; }

mien::Grid grid(const Size& size) { return {size.second, size.first}; }

template <class T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

template <class Mask>
void blend(Address out, Address frame, Size frame_size, Address patch, Address mask, Size patch_size, Matrix to_patch,
           float feather, Address stream) {
    const mien::Blend<Mask> job{at<std::uint8_t>(out),  at<const std::uint8_t>(frame), grid(frame_size),
                                at<const std::uint8_t>(patch), at<const Mask>(mask),   grid(patch_size),
                                affine(to_patch),       feather};
    mien::blend_cuda(job, at<void>(stream));
}

void warp_blend(Address out, Address source, Size source_size, Address flow, Size flow_size, Address visible,
                Address paint, Address mask, Size crop_size, Matrix to_crop, Matrix to_source, Address stream) {
    const mien::WarpBlend job{at<std::uint8_t>(out),    at<const std::uint8_t>(source), grid(source_size),
                              at<const float>(flow),    grid(flow_size),                at<const float>(visible),
                              at<const float>(paint),   at<const float>(mask),          grid(crop_size),
                              affine(to_crop),          affine(to_source)};
    mien::warp_blend_cuda(job, at<void>(stream));
}

}  // namespace

NB_MODULE(_cuda, m) {
    m.attr("CUDART_VERSION") = CUDART_VERSION;
    m.def("blend_byte_mask", &blend<std::uint8_t>, "out"_a, "frame"_a, "frame_size"_a, "patch"_a, "mask"_a,
          "patch_size"_a, "to_patch"_a.noconvert(), "feather"_a, "stream"_a);
    m.def("blend_float_mask", &blend<float>, "out"_a, "frame"_a, "frame_size"_a, "patch"_a, "mask"_a, "patch_size"_a,
          "to_patch"_a.noconvert(), "feather"_a, "stream"_a);
    m.def("warp_blend", &warp_blend, "out"_a, "source"_a, "source_size"_a, "flow"_a, "flow_size"_a, "visible"_a,
          "paint"_a, "mask"_a, "crop_size"_a, "to_crop"_a.noconvert(), "to_source"_a.noconvert(), "stream"_a);
}
