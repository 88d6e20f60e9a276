// warp_blend: bends a picture by a flow, changes its light, paints what the flow cannot show, and keeps everything
// else as it is.
#pragma once

#include "region.hpp"

namespace mien {

// Pictures are interleaved RGB bytes, maps planar floats, all without gaps; `out` must not overlap `source`.
struct WarpBlend {
    std::uint8_t* out;
    const std::uint8_t* source;
    Grid source_grid;
    const float* flow;  // two planes, x and y, in units of half a crop
    Grid flow_grid;
    const float* visible;  // 1: the warped source, 0: the paint
    const float* paint;    // three planes, RGB in [0, 1]
    const float* mask;     // 0: the source as it is, 1: the warped and painted colour
    Grid crop_grid;        // of visible, paint and mask; crop coordinates are its pixels
    Affine<double> to_crop;    // source -> crop
    Affine<double> to_source;  // crop -> source
    const float* shade = nullptr;  // three planes, gains of the warped colour; none where there are none
    Grid shade_grid = {1, 1};

    // A flow value to an offset in source pixels, counted from the corner of the pixel it moves.
    Affine<float> flow_to_source() const {
        const double half_w = 0.5 * crop_grid.width, half_h = 0.5 * crop_grid.height;
        return {float(to_source.xx * half_w), float(to_source.xy * half_h), 0.5f,
                float(to_source.yx * half_w), float(to_source.yy * half_h), 0.5f};
    }

    Box box() const { return {0.0, 0.0, double(crop_grid.width), double(crop_grid.height)}; }
};

// What the CUDA kernel takes beside the job.
struct WarpView {
    Affine<float> to_crop;  // from the centre of the first pixel of the bounds
    Affine<float> flow_to_source;
    Bounds bounds;
};

inline WarpView warp_view(const WarpBlend& job) {
    const Bounds bounds = frame_bounds(job.to_crop, job.box(), job.source_grid);
    return {from_pixel(job.to_crop, bounds.x.first, bounds.y.first), job.flow_to_source(), bounds};
}

// What one CUDA thread does: pixel (x, y). `out` holds the source already.
MIEN_INLINE void warp_blend_pixel(const WarpBlend& job, const WarpView& view, int x, int y) {
    const float i = static_cast<float>(x - view.bounds.x.first), j = static_cast<float>(y - view.bounds.y.first);
    const float px = view.to_crop.x(i, j), py = view.to_crop.y(i, j);
    const Grid crop = job.crop_grid, flow = job.flow_grid;
    if (!inside(px, py, crop)) return;
    const Taps taps = taps_at(px, py, crop);
    const float weight = clamped(sampled(job.mask, taps, crop), 1.0f);
    if (!(weight > 0.0f)) return;

    const Taps flow_taps = taps_at(px * (static_cast<float>(flow.width) / static_cast<float>(crop.width)),
                                   py * (static_cast<float>(flow.height) / static_cast<float>(crop.height)), flow);
    const float dx = sampled(job.flow, flow_taps, flow);
    const float dy = sampled(job.flow + static_cast<long long>(flow.width) * flow.height, flow_taps, flow);
    const Taps source_taps = taps_at(static_cast<float>(x) + view.flow_to_source.x(dx, dy),
                                     static_cast<float>(y) + view.flow_to_source.y(dx, dy), job.source_grid);
    const float of_source = share_with_flow(share(sampled(job.visible, taps, crop)), dx, dy);
    const Grid shade = job.shade_grid;
    const Taps shade_taps = taps_at(px * (static_cast<float>(shade.width) / static_cast<float>(crop.width)),
                                    py * (static_cast<float>(shade.height) / static_cast<float>(crop.height)), shade);
    const long long plane = static_cast<long long>(crop.width) * crop.height;
    const long long shade_plane = static_cast<long long>(shade.width) * shade.height;
    const long long at = 3 * (static_cast<long long>(y) * job.source_grid.width + x);
    for (int c = 0; c < 3; ++c) {
        float warped = sampled(job.source + c, source_taps, job.source_grid, 3);
        if (job.shade) warped *= sampled(job.shade + c * shade_plane, shade_taps, shade);
        const float paint = 255.0f * sampled(job.paint + c * plane, taps, crop);
        const float colour = composed(warped, paint, of_source);
        job.out[at + c] = to_byte(blended(static_cast<float>(job.source[at + c]), colour, weight));
    }
}

void warp_blend_cpu(const WarpBlend& job);

// Pointers are on the device; the work is queued on the stream (a cudaStream_t) and not waited for.
void warp_blend_cuda(const WarpBlend& job, void* stream);

}  // namespace mien
