// What the modules that take NumPy arrays share: array types, sizes, and jobs made of them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <optional>
#include <vector>

#include "blend.hpp"
#include "crop.hpp"
#include "warp_blend.hpp"

namespace mien {

namespace nb = nanobind;

template <class T, class Shape>
using Array = nb::ndarray<T, Shape, nb::c_contig, nb::device::cpu>;
using Picture = Array<const std::uint8_t, nb::shape<-1, -1, 3>>;
using Output = Array<std::uint8_t, nb::shape<-1, -1, 3>>;
using Matrix = Array<const double, nb::shape<2, 3>>;
using Matrices = Array<const double, nb::shape<-1, 2, 3>>;
template <class T>
using Map = Array<const T, nb::shape<-1, -1>>;
template <class T>
using Maps = Array<const T, nb::shape<-1, -1, -1>>;
template <int Planes>
using Planar = Array<const float, nb::shape<Planes, -1, -1>>;
using Planes = Array<float, nb::shape<-1, 3, -1, -1>>;
using YuvNumbers = Array<const float, nb::shape<8>>;
// Of any layout: (H, W, 3), (H, W, 4), or (1.5 H, W).
using Buffer = nb::ndarray<const std::uint8_t, nb::c_contig, nb::device::cpu>;
using OutBuffer = nb::ndarray<std::uint8_t, nb::c_contig, nb::device::cpu>;

inline Affine<double> affine(const Matrix& m) { return {m(0, 0), m(0, 1), m(0, 2), m(1, 0), m(1, 1), m(1, 2)}; }

inline std::vector<Affine<double>> affines(const Matrices& m) {
    std::vector<Affine<double>> all;
    for (size_t i = 0; i < m.shape(0); ++i)
        all.push_back({m(i, 0, 0), m(i, 0, 1), m(i, 0, 2), m(i, 1, 0), m(i, 1, 1), m(i, 1, 2)});
    return all;
}

inline Yuv yuv_of(const YuvNumbers& n) { return {n(0), n(1), n(2), n(3), n(4), n(5), n(6), n(7)}; }

inline Layout layout_of(int code) {
    if (code < 0 || code > static_cast<int>(Layout::nv12)) throw nb::value_error("layout is 0 to 4");
    return static_cast<Layout>(code);
}

// height and width in pixels, of a picture without gaps.
inline Format format_of(int code, int height, int width, const Yuv& yuv) {
    const Layout layout = layout_of(code);
    if (height < 1 || width < 1 || (layout == Layout::nv12 && (height % 2 || width % 2)))
        throw nb::value_error("a frame has a pixel, and one of NV12 even sides");
    return {layout, {width, height}, static_cast<long long>(width) * channels_of(layout), yuv};
}

template <class A>
Grid grid(const A& array, size_t y_axis = 0) {
    return {static_cast<int>(array.shape(y_axis + 1)), static_cast<int>(array.shape(y_axis))};
}

template <class A, class B>
void same_size(const A& a, const B& b, const char* message, size_t a_axis = 0, size_t b_axis = 0) {
    const bool same = a.shape(a_axis) == b.shape(b_axis) && a.shape(a_axis + 1) == b.shape(b_axis + 1);
    if (!same) throw nb::value_error(message);
}

template <class A>
Format frame_format(const A& frame, int layout, const YuvNumbers& yuv) {
    const bool nv12 = layout_of(layout) == Layout::nv12;
    const bool fits = nv12 ? frame.ndim() == 2 && frame.shape(0) % 3 == 0
                           : frame.ndim() == 3 && int(frame.shape(2)) == channels_of(layout_of(layout));
    if (!fits) throw nb::value_error("the frame's shape is not that of its layout");
    const int height = static_cast<int>(nv12 ? frame.shape(0) / 3 * 2 : frame.shape(0));
    return format_of(layout, height, static_cast<int>(frame.shape(1)), yuv_of(yuv));
}

inline Crop<float> crop_job(Planes& out, const Buffer& frame, int layout, const YuvNumbers& yuv,
                            const std::vector<Affine<double>>& to_frame) {
    if (out.shape(0) != to_frame.size()) throw nb::value_error("out and to_frame differ in number");
    return {out.data(), grid(out, 2),    frame.data(), frame_format(frame, layout, yuv), to_frame.data(),
            static_cast<int>(to_frame.size())};
}

// Interleaved bytes (N, h, w, 3) or planar floats (N, 3, h, w).
template <class Patch>
using Patches = nb::ndarray<const Patch, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

template <class Mask, class Patch>
Blend<Mask, Patch> blend_job(OutBuffer& out, const Buffer& frame, int layout, const YuvNumbers& yuv,
                             const Patches<Patch>& patches, const Maps<Mask>& masks,
                             const std::vector<Affine<double>>& to_patch, float feather) {
    bool same = out.ndim() == frame.ndim();
    for (size_t axis = 0; same && axis < frame.ndim(); ++axis) same = out.shape(axis) == frame.shape(axis);
    if (!same) throw nb::value_error("out and frame differ in size");
    const bool planar = std::is_same_v<Patch, float>;
    if (patches.shape(planar ? 1 : 3) != 3) throw nb::value_error("patches have three channels");
    same_size(patches, masks, "patches and masks differ in size", planar ? 2 : 1, 1);
    const size_t count = to_patch.size(), own = masks.shape(0);
    if (patches.shape(0) != count || (own != count && own != 1))
        throw nb::value_error("patches, masks and to_patch differ in number");
    return {out.data(),   frame.data(), frame_format(frame, layout, yuv), patches.data(),    masks.data(),
            own != count, grid(masks, 1), to_patch.data(),                static_cast<int>(count), feather};
}

inline WarpBlend warp_blend_job(Output& out, const Picture& source, const Planar<2>& flow, const Map<float>& visible,
                                const Planar<3>& paint, const Map<float>& mask, const Matrix& to_crop,
                                const Matrix& to_source, const std::optional<Planar<3>>& shade) {
    same_size(out, source, "out and source differ in size");
    same_size(visible, mask, "visible and mask differ in size");
    same_size(paint, mask, "paint and mask differ in size", 1);
    WarpBlend job{out.data(),   source.data(), grid(source), flow.data(),     grid(flow, 1),   visible.data(),
                  paint.data(), mask.data(),   grid(mask),   affine(to_crop), affine(to_source)};
    if (shade) job.shade = shade->data(), job.shade_grid = grid(*shade, 1);
    return job;
}

}  // namespace mien
