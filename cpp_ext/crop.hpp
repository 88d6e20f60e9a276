// crop: squares of a frame, each placed by a similarity transform, as a network's input: planes R, G, B in [0, 1].
#pragma once

#include <algorithm>

#include "picture.hpp"
#include "region.hpp"

namespace mien {

// Where a crop shrinks the frame by two or more, it samples the means of blocks of shrink x shrink pixels, rounded to
// bytes: a shrunken picture of the part of the frame under the crop.
struct CropPlace {
    Affine<double> to_blocks;  // crop -> blocks
    int x, y;                  // of the first block's first pixel
    int shrink;
    Grid blocks;
};

// Sums of so many bytes still divide exactly in single precision, and a column of them fits 16 bits.
constexpr int kMostShrink = 256;

inline CropPlace crop_place(const Affine<double>& to_frame, Grid crop, Grid frame) {
    const int shrink = static_cast<int>(std::clamp(std::hypot(to_frame.xx, to_frame.yx), 1.0, double{kMostShrink}));
    double low[2] = {HUGE_VAL, HUGE_VAL}, high[2] = {-HUGE_VAL, -HUGE_VAL};
    for (int corner = 0; corner < 4; ++corner) {
        const double x = corner & 1 ? crop.width : 0, y = corner & 2 ? crop.height : 0;
        const double at[2] = {to_frame.x(x, y), to_frame.y(x, y)};
        for (int axis = 0; axis < 2; ++axis) {
            low[axis] = std::min(low[axis], at[axis]);
            high[axis] = std::max(high[axis], at[axis]);
        }
    }
    // Two blocks of margin, for the interpolation and for the repeated edge.
    int first[2], count[2];
    for (int axis = 0; axis < 2; ++axis) {
        const double side = axis ? frame.height : frame.width;
        const double from = std::clamp(std::floor(low[axis]) - 2 * shrink, 0.0, side - 1);
        const double to = std::clamp(std::ceil(high[axis]) + 2 * shrink, from + 1, side);
        first[axis] = static_cast<int>(from);
        count[axis] = (static_cast<int>(to) - first[axis] + shrink - 1) / shrink;
    }
    const double unit = shrink;
    const Affine<double>& m = to_frame;
    return {{m.xx / unit, m.xy / unit, (m.x0 - first[0]) / unit, m.yx / unit, m.yy / unit, (m.y0 - first[1]) / unit},
            first[0], first[1], shrink, {count[0], count[1]}};
}

// sum / count rounded to the nearest, halves up.
MIEN_INLINE float rounded_mean(int sum, int count) {
    return static_cast<float>(static_cast<int>(static_cast<float>(sum + count / 2) / static_cast<float>(count)));
}

// One crop as the CUDA kernel takes it.
struct CropView {
    Affine<float> to_blocks;  // from the centre of the crop's first pixel
    int x, y, shrink;
    Grid blocks;
    Affine<float> to_frame;
    bool black;  // outside of the frame, where its edge is repeated otherwise
};

inline CropView crop_view(const Affine<double>& to_frame, Grid crop, Grid frame, bool black) {
    const CropPlace place = crop_place(to_frame, crop, frame);
    return {from_pixel(place.to_blocks, 0, 0), place.x,  place.y, place.shrink, place.blocks,
            from_pixel(to_frame, 0, 0),        black};
}

// How much of a pixel of the crop shows the frame: one that is half outside shows half of it.
MIEN_INLINE float shown_share(const CropView& view, Grid frame, float x, float y) {
    if (!view.black) return 1.0f;
    const float at_x = view.to_frame.x(x, y), at_y = view.to_frame.y(x, y), step = static_cast<float>(view.shrink);
    const float end_x = static_cast<float>(frame.width) - at_x, end_y = static_cast<float>(frame.height) - at_y;
    return clamped((at_x < end_x ? at_x : end_x) / step + 0.5f, 1.0f) *
           clamped((at_y < end_y ? at_y : end_y) / step + 0.5f, 1.0f);
}

struct Mean {
    float r, g, b;
};

MIEN_INLINE Mean block_mean(const std::uint8_t* frame, const Format& format, const CropView& view, int i, int j) {
    const int last_x = format.grid.width - 1, last_y = format.grid.height - 1;
    Rgb sum{0, 0, 0};
    for (int dy = 0; dy < view.shrink; ++dy)
        for (int dx = 0; dx < view.shrink; ++dx) {
            const int x = view.x + i * view.shrink + dx, y = view.y + j * view.shrink + dy;
            const Rgb pixel = rgb_at(frame, format, x < last_x ? x : last_x, y < last_y ? y : last_y);
            sum = {sum.r + pixel.r, sum.g + pixel.g, sum.b + pixel.b};
        }
    const int count = view.shrink * view.shrink;
    return {rounded_mean(sum.r, count), rounded_mean(sum.g, count), rounded_mean(sum.b, count)};
}

// What one CUDA thread does: pixel (x, y) of a crop, into three planes.
template <class Out>
MIEN_INLINE void crop_pixel(Out* out, Grid crop, const std::uint8_t* frame, const Format& format, const CropView& view,
                            int x, int y) {
    const float px = view.to_blocks.x(static_cast<float>(x), static_cast<float>(y));
    const float py = view.to_blocks.y(static_cast<float>(x), static_cast<float>(y));
    const Taps taps = taps_at(px, py, view.blocks);
    const int i = taps.first % view.blocks.width, j = taps.first / view.blocks.width;
    const int right = i + view.blocks.right(), down = j + (view.blocks.height > 1 ? 1 : 0);
    const Mean a = block_mean(frame, format, view, i, j), b = block_mean(frame, format, view, right, j);
    const Mean c = block_mean(frame, format, view, i, down), d = block_mean(frame, format, view, right, down);
    const long long plane = static_cast<long long>(crop.width) * crop.height;
    Out* at = out + static_cast<long long>(y) * crop.width + x;
    const float unit = shown_share(view, format.grid, static_cast<float>(x), static_cast<float>(y)) * (1.0f / 255.0f);
    at[0] = Out(bilinear(a.r, b.r, c.r, d.r, taps.fx, taps.fy) * unit);
    at[plane] = Out(bilinear(a.g, b.g, c.g, d.g, taps.fx, taps.fy) * unit);
    at[2 * plane] = Out(bilinear(a.b, b.b, c.b, d.b, taps.fx, taps.fy) * unit);
}

template <class Out>
struct Crop {
    Out* out;  // count x 3 planes
    Grid crop_grid;
    const std::uint8_t* frame;
    Format format;
    const Affine<double>* to_frame;  // crop -> frame, count of them, on the host
    int count;
    bool black = false;  // outside of the frame; the CUDA kernel's alone
};

void crop_cpu(const Crop<float>& job);

// out and frame are on the device; the work is queued on the stream (a cudaStream_t) and not waited for.
template <class Out>
void crop_cuda(const Crop<Out>& job, void* stream);

}  // namespace mien
