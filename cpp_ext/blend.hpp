// blend: a patch, placed by a similarity transform, over a frame.
#pragma once

#include "region.hpp"

namespace mien {

// Pictures are interleaved RGB bytes without gaps; `out` may be `frame`. Mask: bytes 0..255 or floats 0..1.
template <class Mask>
struct Blend {
    std::uint8_t* out;
    const std::uint8_t* frame;
    Grid frame_grid;
    const std::uint8_t* patch;
    const Mask* mask;
    Grid patch_grid;
    Affine<double> to_patch;  // frame -> patch
    float feather;            // in patch pixels

    Box box() const { return {0.0, 0.0, double(patch_grid.width), double(patch_grid.height)}; }
};

template <class Mask>
void blend_cpu(const Blend<Mask>& job);

// Pointers are on the device; the work is queued on the stream (a cudaStream_t) and not waited for.
template <class Mask>
void blend_cuda(const Blend<Mask>& job, void* stream);

}  // namespace mien
