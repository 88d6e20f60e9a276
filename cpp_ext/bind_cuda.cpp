// mien._cuda: the CUDA kernels on raw device addresses. Nothing here needs a GPU or a driver until a kernel is started.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <climits>
#include <optional>
#include <string>
#include <tuple>

#include "bind_arrays.hpp"
#include "fit.hpp"
#include "graph.hpp"
#include "keypoints.hpp"
#include "volume.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace mien;

namespace {

using Address = std::uintptr_t;
using Size = std::pair<int, int>;  // height, width
using Size3 = std::tuple<int, int, int>;  // depth, height, width

// A kernel that was handed the null address would take the whole context with it.
template <class T>
T* at(Address address) {
    if (!address) throw nb::value_error("an address is 0");
    return reinterpret_cast<T*>(address);
}

void* stream_of(Address stream) { return reinterpret_cast<void*>(stream); }

// Positions in a plane are ints.
int counted(long long number) {
    if (number < 1 || number > INT_MAX) throw nb::value_error("a size is below 1 or too large");
    return static_cast<int>(number);
}

// A launch has at most this many blocks along y and z.
int launched(int number) {
    if (number < 1 || number > 65535) throw nb::value_error("a batch or number of channels is below 1 or too large");
    return number;
}

Grid grid(const Size& size) {
    counted(size.first), counted(size.second), counted(3LL * size.first * size.second);
    return {size.second, size.first};
}

Format format(int layout, const Size& size, const YuvNumbers& yuv) {
    grid(size);
    return format_of(layout, size.first, size.second, yuv_of(yuv));
}

Box3 box(const Size3& size) {
    const auto [depth, height, width] = size;
    counted(depth), counted(height), counted(width), counted(static_cast<long long>(height) * width);
    counted(static_cast<long long>(depth) * height * width);
    return {depth, height, width};
}

[[noreturn]] void unknown(const std::string& type) { throw nb::value_error(("no kernel for values " + type).c_str()); }

template <class Mask, class Patch>
void blend_typed(Address out, Address frame, const Format& format, Address patches, Address masks, bool one_mask,
                 Grid patch_grid, const std::vector<Affine<double>>& places, float feather, Address stream) {
    const Blend<Mask, Patch> job{at<std::uint8_t>(out), at<const std::uint8_t>(frame), format,
                                 at<const Patch>(patches), at<const Mask>(masks), one_mask, patch_grid,
                                 places.data(), static_cast<int>(places.size()), feather};
    blend_cuda(job, stream_of(stream));
}

void blend_faces(Address out, Address frame, int layout, Size frame_size, YuvNumbers yuv, Address patches,
                 std::string patch_type, Address masks, std::string mask_type, bool one_mask, Size patch_size,
                 Matrices to_patch, float feather, Address stream) {
    const auto places = affines(to_patch);
    const auto call = [&](auto blend) {
        blend(out, frame, format(layout, frame_size, yuv), patches, masks, one_mask, grid(patch_size), places, feather,
              stream);
    };
    const bool bytes = mask_type == "|u1";
    if (!bytes && mask_type != "<f4") unknown(mask_type);
    if (patch_type == "|u1")
        bytes ? call(blend_typed<std::uint8_t, std::uint8_t>) : call(blend_typed<float, std::uint8_t>);
    else if (patch_type == "<f4")
        bytes ? call(blend_typed<std::uint8_t, float>) : call(blend_typed<float, float>);
    else if (patch_type == "<f2")
        bytes ? call(blend_typed<std::uint8_t, __half>) : call(blend_typed<float, __half>);
    else
        unknown(patch_type);
}

template <class Out>
void crop_typed(Address out, Size size, Address frame, const Format& format,
                const std::vector<Affine<double>>& places, bool black, Address stream) {
    const Crop<Out> job{at<Out>(out), grid(size), at<const std::uint8_t>(frame), format, places.data(),
                        static_cast<int>(places.size()), black};
    crop_cuda(job, stream_of(stream));
}

void crop(Address out, std::string out_type, Size size, Address frame, int layout, Size frame_size, YuvNumbers yuv,
          Matrices to_frame, bool black, Address stream) {
    const auto places = affines(to_frame);
    const Format shown = format(layout, frame_size, yuv);
    if (out_type == "<f4")
        crop_typed<float>(out, size, frame, shown, places, black, stream);
    else if (out_type == "<f2")
        crop_typed<__half>(out, size, frame, shown, places, black, stream);
    else
        unknown(out_type);
}

void fit(Address out, Size out_size, Address planes, Size size, Size fitted, int count, Address stream) {
    launched(count);
    const Fit job{at<float>(out), grid(out_size), at<const float>(planes), grid(size), grid(fitted), count};
    if (job.fitted.width > job.in_grid.width || job.fitted.height > job.in_grid.height)
        throw nb::value_error("planes are averaged down, never up");
    fit_cuda(job, stream_of(stream));
}

void warp_blend(Address out, Address source, Size source_size, Address flow, Size flow_size, Address visible,
                Address paint, Address mask, Size crop_size, Matrix to_crop, Matrix to_source, Address stream,
                std::optional<Address> shade, Size shade_size) {
    WarpBlend job{at<std::uint8_t>(out),  at<const std::uint8_t>(source), grid(source_size),
                  at<const float>(flow),  grid(flow_size),                at<const float>(visible),
                  at<const float>(paint), at<const float>(mask),          grid(crop_size),
                  affine(to_crop),        affine(to_source)};
    if (shade) job.shade = at<const float>(*shade), job.shade_grid = grid(shade_size);
    warp_blend_cuda(job, stream_of(stream));
}

template <class Value>
void sample_typed(Address out, Address volume, Address places, int batch, int channels, const Box3& in,
                  const Box3& size, Address stream) {
    const SampleVolume<Value> job{at<Value>(out),  at<const Value>(volume), at<const float>(places), batch, channels,
                                  in,              size};
    sample_volume_cuda(job, stream_of(stream));
}

void sample_volume(Address out, Address volume, std::string type, Address places, int batch, int channels, Size3 in,
                   Size3 size, Address stream) {
    launched(batch), launched(channels);
    if (type == "<f4")
        sample_typed<float>(out, volume, places, batch, channels, box(in), box(size), stream);
    else if (type == "<f2")
        sample_typed<__half>(out, volume, places, batch, channels, box(in), box(size), stream);
    else
        unknown(type);
}

void place_keypoints(Address out, Address canonical, Address angles, Address expression, Address scale,
                     Address translation, int batch, int count, Address stream) {
    counted(batch), counted(count), counted(static_cast<long long>(batch) * count);
    const PlaceKeypoints job{at<float>(out),         at<const float>(canonical), at<const float>(angles),
                             at<const float>(expression), at<const float>(scale), at<const float>(translation),
                             batch,                  count};
    place_keypoints_cuda(job, stream_of(stream));
}

}  // namespace

NB_MODULE(_cuda, m) {
    m.attr("CUDART_VERSION") = CUDART_VERSION;
    m.def("blend_faces", &blend_faces, "out"_a, "frame"_a, "layout"_a, "frame_size"_a, "yuv"_a.noconvert(),
          "patches"_a, "patch_type"_a, "masks"_a, "mask_type"_a, "one_mask"_a, "patch_size"_a,
          "to_patch"_a.noconvert(), "feather"_a, "stream"_a);
    m.def("crop", &crop, "out"_a, "out_type"_a, "size"_a, "frame"_a, "layout"_a, "frame_size"_a, "yuv"_a.noconvert(),
          "to_frame"_a.noconvert(), "black"_a, "stream"_a);
    m.def("fit", &fit, "out"_a, "out_size"_a, "planes"_a, "size"_a, "fitted"_a, "count"_a, "stream"_a);
    m.def("warp_blend", &warp_blend, "out"_a, "source"_a, "source_size"_a, "flow"_a, "flow_size"_a, "visible"_a,
          "paint"_a, "mask"_a, "crop_size"_a, "to_crop"_a.noconvert(), "to_source"_a.noconvert(), "stream"_a,
          "shade"_a = nb::none(), "shade_size"_a = Size{1, 1});
    m.def("sample_volume", &sample_volume, "out"_a, "volume"_a, "type"_a, "grid"_a, "batch"_a, "channels"_a, "size"_a,
          "out_size"_a, "stream"_a);
    m.def("place_keypoints", &place_keypoints, "out"_a, "canonical"_a, "angles"_a, "expression"_a, "scale"_a,
          "translation"_a, "batch"_a, "count"_a, "stream"_a);

    nb::class_<Graph>(m, "Graph").def("launch", [](const Graph& graph, Address stream) {
        graph.launch(stream_of(stream));
    }, "stream"_a);
    m.def("begin_capture", [](Address stream) { begin_capture(stream_of(stream)); }, "stream"_a);
    m.def("discard_capture", [](Address stream) { discard_capture(stream_of(stream)); }, "stream"_a);
    m.def("end_capture", [](Address stream) { return new Graph(stream_of(stream)); }, "stream"_a,
          nb::rv_policy::take_ownership);
}
