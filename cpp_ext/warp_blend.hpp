// warp_blend: bends a picture by a flow, paints what the flow cannot show, and keeps everything else as it is.
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

    // A flow value to an offset in source pixels, counted from the corner of the pixel it moves.
    Affine<float> flow_to_source() const {
        const double half_w = 0.5 * crop_grid.width, half_h = 0.5 * crop_grid.height;
        return {float(to_source.xx * half_w), float(to_source.xy * half_h), 0.5f,
                float(to_source.yx * half_w), float(to_source.yy * half_h), 0.5f};
    }

    Box box() const { return {0.0, 0.0, double(crop_grid.width), double(crop_grid.height)}; }
};

void warp_blend_cpu(const WarpBlend& job);

// Pointers are on the device; the work is queued on the stream (a cudaStream_t) and not waited for.
void warp_blend_cuda(const WarpBlend& job, void* stream);

}  // namespace mien
