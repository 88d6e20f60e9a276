// blend: patches, each placed by a similarity transform, over a frame, one after the other.
#pragma once

#include <algorithm>

#include "picture.hpp"
#include "region.hpp"

namespace mien {

// Patches are interleaved RGB bytes, or planes of floats R, G, B in [0, 1]; masks bytes 0..255 or floats 0..1. Neither
// has gaps. `out` may be `frame`, and lies in memory as that does.
template <class Mask, class Patch>
struct Blend {
    std::uint8_t* out;
    const std::uint8_t* frame;
    Format format;
    const Patch* patches;
    const Mask* masks;
    bool one_mask;  // for all patches
    Grid patch_grid;
    const Affine<double>* to_patch;  // frame -> patch, count of them, on the host
    int count;
    float feather;  // in patch pixels

    Box box() const { return {0.0, 0.0, double(patch_grid.width), double(patch_grid.height)}; }
    MIEN_INLINE const Patch* patch(int i) const { return patches + 3LL * patch_grid.width * patch_grid.height * i; }
    MIEN_INLINE const Mask* mask(int i) const {
        return masks + (one_mask ? 0LL : static_cast<long long>(patch_grid.width) * patch_grid.height * i);
    }
};

// Where a patch lies, as the CUDA kernel takes it.
struct PatchView {
    Affine<float> to_patch;  // from the centre of the first pixel of the bounds
    Bounds bounds;
};

// One launch: a thread for each pixel of `bounds`, or for 2x2 of NV12.
constexpr int kMostPatches = 32;

struct BlendViews {
    PatchView view[kMostPatches];
    Bounds bounds;  // of all patches; of NV12 whole 2x2 pixels
    int count;
};

template <class Mask, class Patch>
BlendViews blend_views(const Blend<Mask, Patch>& job) {
    BlendViews views{};
    views.count = job.count;
    Bounds& all = views.bounds;
    for (int i = 0; i < job.count; ++i) {
        const Bounds own = frame_bounds(job.to_patch[i], job.box(), job.format.grid);
        views.view[i] = {from_pixel(job.to_patch[i], own.x.first, own.y.first), own};
        if (own.pixels() == 0) continue;
        all = all.pixels() == 0 ? own : united(all, own);
    }
    if (job.format.layout == Layout::nv12) all = {whole_pairs(all.x), whole_pairs(all.y)};
    return views;
}

MIEN_INLINE float patch_value(const std::uint8_t* patch, Taps taps, Grid grid, int channel) {
    return sampled(patch + channel, taps, grid, 3);
}
template <class Float>
MIEN_INLINE float patch_value(const Float* patch, Taps taps, Grid grid, int channel) {
    return 255.0f * sampled(patch + static_cast<long long>(channel) * grid.width * grid.height, taps, grid);
}

// What a patch shows at a pixel of the frame.
struct Seen {
    float weight, r, g, b;
};

template <class Mask, class Patch>
MIEN_INLINE Seen seen_at(const Blend<Mask, Patch>& job, const PatchView& view, int i, int x, int y) {
    if (!view.bounds.holds(x, y)) return {0.0f, 0.0f, 0.0f, 0.0f};
    const float fx = static_cast<float>(x - view.bounds.x.first), fy = static_cast<float>(y - view.bounds.y.first);
    const float px = view.to_patch.x(fx, fy), py = view.to_patch.y(fx, fy);
    const Grid grid = job.patch_grid;
    if (!inside(px, py, grid)) return {0.0f, 0.0f, 0.0f, 0.0f};
    const Taps taps = taps_at(px, py, grid);
    const Mask* mask = job.mask(i);
    const float weight = clamped(sampled(mask, taps, grid) * mask_unit(mask), 1.0f) * ramp(px, py, grid, job.feather);
    if (!(weight > 0.0f)) return {0.0f, 0.0f, 0.0f, 0.0f};
    const Patch* patch = job.patch(i);
    return {weight, patch_value(patch, taps, grid, 0), patch_value(patch, taps, grid, 1),
            patch_value(patch, taps, grid, 2)};
}

MIEN_INLINE std::uint8_t blended_byte(std::uint8_t background, float colour, float weight) {
    return to_byte(blended(static_cast<float>(background), colour, weight));
}

// What one CUDA thread does: pixel (x, y). `out` holds the frame already.
template <class Mask, class Patch>
MIEN_INLINE void blend_pixel(const Blend<Mask, Patch>& job, const BlendViews& views, int x, int y) {
    std::uint8_t* at = job.out + job.format.pixel(x, y);
    const int red = red_of(job.format.layout);
    for (int i = 0; i < views.count; ++i) {
        const Seen seen = seen_at(job, views.view[i], i, x, y);
        if (!(seen.weight > 0.0f)) continue;
        at[red] = blended_byte(at[red], seen.r, seen.weight);
        at[1] = blended_byte(at[1], seen.g, seen.weight);
        at[2 - red] = blended_byte(at[2 - red], seen.b, seen.weight);
    }
}

// The same for the 2x2 pixels of NV12 from (x, y) on; their chroma becomes the mean of what each of them would have.
template <class Mask, class Patch>
MIEN_INLINE void blend_quad(const Blend<Mask, Patch>& job, const BlendViews& views, int x, int y) {
    const Yuv& yuv = job.format.yuv;
    std::uint8_t* uv = job.out + job.format.chroma(x, y);
    for (int i = 0; i < views.count; ++i) {
        const float u = static_cast<float>(uv[0]), v = static_cast<float>(uv[1]);
        float sum_u = 0.0f, sum_v = 0.0f;
        for (int k = 0; k < 4; ++k) {
            const int at_x = x + k % 2, at_y = y + k / 2;
            const Seen seen = seen_at(job, views.view[i], i, at_x, at_y);
            const float luma = yuv.luma(seen.r, seen.g, seen.b);
            std::uint8_t* at = job.out + job.format.pixel(at_x, at_y);
            if (seen.weight > 0.0f) *at = blended_byte(*at, yuv.y(luma), seen.weight);
            sum_u += blended(u, yuv.u(luma, seen.b), seen.weight);
            sum_v += blended(v, yuv.v(luma, seen.r), seen.weight);
        }
        uv[0] = to_byte(0.25f * sum_u);
        uv[1] = to_byte(0.25f * sum_v);
    }
}

template <class Mask, class Patch>
void blend_cpu(const Blend<Mask, Patch>& job);

// out, frame, patches and masks are on the device; the work is queued on the stream (a cudaStream_t), not waited for.
template <class Mask, class Patch>
void blend_cuda(const Blend<Mask, Patch>& job, void* stream);

}  // namespace mien
