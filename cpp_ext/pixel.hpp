// The arithmetic of one pixel, shared by the C++ and the CUDA kernels; engine/mien/kernels/reference.py is the same in
// NumPy. Coordinates are continuous: the corner of a picture is (0, 0), the centre of its first pixel (0.5, 0.5).
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define MIEN_INLINE __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define MIEN_INLINE inline __attribute__((always_inline))
#else
#define MIEN_INLINE inline
#endif

namespace mien {

// x' = xx x + xy y + x0, y' = yx x + yy y + y0
template <class Real>
struct Affine {
    Real xx, xy, x0, yx, yy, y0;

    MIEN_INLINE Real x(Real px, Real py) const { return xx * px + xy * py + x0; }
    MIEN_INLINE Real y(Real px, Real py) const { return yx * px + yy * py + y0; }
};

// The size of a picture or map, and how far its neighbours to the right and below lie (0 where there is only one).
struct Grid {
    int width, height;

    MIEN_INLINE int right() const { return width > 1 ? 1 : 0; }
    MIEN_INLINE int below() const { return height > 1 ? width : 0; }
};

// The upper left of the four neighbours of a point, and where between them the point lies, both ways in [0, 1].
struct Taps {
    int first;
    float fx, fy;
};

// Into [0, high]; NaN becomes 0, so that whatever comes in, an index made from the result is inside the picture.
MIEN_INLINE float clamped(float value, float high) {
    const float positive = value > 0.0f ? value : 0.0f;
    return positive < high ? positive : high;
}

MIEN_INLINE float mixed(float a, float b, float t) { return a + t * (b - a); }

MIEN_INLINE bool inside(float x, float y, Grid grid) {
    return x >= 0.0f && y >= 0.0f && x < static_cast<float>(grid.width) && y < static_cast<float>(grid.height);
}

MIEN_INLINE Taps taps_at(float x, float y, Grid grid) {
    const float cx = clamped(x - 0.5f, static_cast<float>(grid.width - 1));
    const float cy = clamped(y - 0.5f, static_cast<float>(grid.height - 1));
    const int last_x = grid.width > 1 ? grid.width - 2 : 0;
    const int last_y = grid.height > 1 ? grid.height - 2 : 0;
    const int ix = static_cast<int>(cx) < last_x ? static_cast<int>(cx) : last_x;
    const int iy = static_cast<int>(cy) < last_y ? static_cast<int>(cy) : last_y;
    return {iy * grid.width + ix, cx - static_cast<float>(ix), cy - static_cast<float>(iy)};
}

MIEN_INLINE float bilinear(float a, float b, float c, float d, float fx, float fy) {
    return mixed(mixed(a, b, fx), mixed(c, d, fx), fy);
}

// The bilinear value at the taps; NaN where a tap is NaN or infinite, so that one test finds both.
template <class Value>
MIEN_INLINE float sampled(const Value* map, Taps taps, Grid grid, int channels = 1) {
    const Value* p = map + static_cast<long long>(taps.first) * channels;
    const long long right = grid.right() * channels, below = static_cast<long long>(grid.below()) * channels;
    const float value = bilinear(static_cast<float>(p[0]), static_cast<float>(p[right]), static_cast<float>(p[below]),
                                 static_cast<float>(p[below + right]), taps.fx, taps.fy);
    return value + (value - value);
}

MIEN_INLINE float mask_unit(const float*) { return 1.0f; }
MIEN_INLINE float mask_unit(const std::uint8_t*) { return 1.0f / 255.0f; }

// 0 at the edge of a width x height patch, 1 from `feather` patch pixels inwards; without a feather 1 throughout.
MIEN_INLINE float ramp(float x, float y, Grid grid, float feather) {
    const float from_x = x < grid.width - x ? x : grid.width - x;
    const float from_y = y < grid.height - y ? y : grid.height - y;
    return feather > 0.0f ? clamped((from_x < from_y ? from_x : from_y) / feather, 1.0f) : 1.0f;
}

// The share of the warped source: `visible` in [0, 1], or NaN where it is NaN.
MIEN_INLINE float share(float visible) { return visible < 0.0f ? 0.0f : (visible > 1.0f ? 1.0f : visible); }

// A share above 0 needs the flow, and is NaN where that is.
MIEN_INLINE float share_with_flow(float share, float dx, float dy) {
    return share > 0.0f && !(dx == dx && dy == dy) ? dx + dy : share;
}

// What the warp and the paint give together. A part without a share is left out whatever it holds, NaN included.
MIEN_INLINE float composed(float warped, float paint, float share) {
    return (share <= 0.0f ? 0.0f : share * warped) + (share >= 1.0f ? 0.0f : (1.0f - share) * paint);
}

// `background` where the weight is 0 or the colour is NaN.
MIEN_INLINE float blended(float background, float colour, float weight) {
    return colour == colour && weight > 0.0f ? background + weight * (colour - background) : background;
}

MIEN_INLINE std::uint8_t to_byte(float value) {
    return static_cast<std::uint8_t>(static_cast<int>(clamped(value, 255.0f) + 0.5f));
}

}  // namespace mien
