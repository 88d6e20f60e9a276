// What the CPU kernels share: a row is done in tiles of pixels, each step one loop over the tile that the compiler
// vectorises; only the bytes of a picture are fetched one pixel at a time.
#pragma once

#include <cstring>

#include "region.hpp"

// One copy of a function for each instruction set, chosen when the library is loaded.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define MIEN_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MIEN_CLONES
#endif

namespace mien {

constexpr int kTile = 64;

using Values = float[kTile];

struct TileTaps {
    alignas(64) int first[kTile];
    alignas(64) Values fx, fy;
};

// Where the pixels (x, y), (x + 1, y), ... lie after `map`; exact for the first, single precision along the tile.
MIEN_INLINE void tile_points(const Affine<double>& map, int x, int y, float* px, float* py) {
    const Affine<float> from_first = from_pixel(map, x, y);
    for (int i = 0; i < kTile; ++i) {
        px[i] = from_first.x(static_cast<float>(i), 0.0f);
        py[i] = from_first.y(static_cast<float>(i), 0.0f);
    }
}

MIEN_INLINE void tile_taps(const float* x, const float* y, Grid grid, TileTaps& taps) {
    for (int i = 0; i < kTile; ++i) {
        const Taps at = taps_at(x[i], y[i], grid);
        taps.first[i] = at.first;
        taps.fx[i] = at.fx;
        taps.fy[i] = at.fy;
    }
}

template <class Value>
MIEN_INLINE void tile_sampled(const Value* map, const TileTaps& taps, Grid grid, float* out) {
    for (int i = 0; i < kTile; ++i) out[i] = sampled(map, Taps{taps.first[i], taps.fx[i], taps.fy[i]}, grid);
}

// Any picture, one byte at a time.
MIEN_INLINE void tile_colours_slow(const std::uint8_t* picture, const TileTaps& taps, Grid grid, Values* out) {
    for (int i = 0; i < kTile; ++i) {
        const Taps at{taps.first[i], taps.fx[i], taps.fy[i]};
        for (int c = 0; c < 3; ++c) out[c][i] = sampled(picture + c, at, grid, 3);
    }
}

// The six bytes of two neighbours, as the low 48 bits.
MIEN_INLINE std::uint64_t eight_bytes(const std::uint8_t* at) {
    std::uint64_t bytes;
    std::memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

// The three channels of an interleaved picture, as three planes.
MIEN_INLINE void tile_colours(const std::uint8_t* picture, const TileTaps& taps, Grid grid, Values* out) {
    if (grid.width < 2 || grid.height < 2) return tile_colours_slow(picture, taps, grid, out);
    // Eight bytes from the upper pair on and eight up to the end of the lower pair are inside any 2x2 picture.
    alignas(64) std::uint64_t above[kTile], below[kTile];
    const long long down = 3LL * grid.width - 2;
    for (int i = 0; i < kTile; ++i) {
        const std::uint8_t* at = picture + 3LL * taps.first[i];
        above[i] = eight_bytes(at);
        below[i] = eight_bytes(at + down) >> 16;
    }
    for (int c = 0; c < 3; ++c)
        for (int i = 0; i < kTile; ++i) {
            const auto byte = [c](std::uint64_t pair, int side) {
                return static_cast<float>(static_cast<int>(pair >> (8 * c + 24 * side) & 255u));
            };
            out[c][i] = bilinear(byte(above[i], 0), byte(above[i], 1), byte(below[i], 0), byte(below[i], 1),
                                 taps.fx[i], taps.fy[i]);
        }
}

MIEN_INLINE bool any_above(const float* values, float bound) {
    int count = 0;
    for (int i = 0; i < kTile; ++i) count += values[i] > bound;
    return count > 0;
}

MIEN_INLINE bool any_below(const float* values, float bound) {
    int count = 0;
    for (int i = 0; i < kTile; ++i) count += values[i] < bound;
    return count > 0;
}

// Most tiles are full, and a copy of a known size is a few instructions.
template <int Channels>
MIEN_INLINE void copied(std::uint8_t* to, const std::uint8_t* from, int n) {
    if (n == kTile)
        std::memcpy(to, from, Channels * kTile);
    else
        std::memcpy(to, from, Channels * n);
}

// background and out: n interleaved pixels, the same ones or two different rows; a fourth channel stays as it is.
template <int Channels>
MIEN_INLINE void tile_blended(const std::uint8_t* background, const Values* colours, const float* weights, int n,
                              std::uint8_t* out) {
    constexpr int count = Channels * kTile;
    alignas(64) std::uint8_t bytes[count] = {};
    alignas(64) float wide[count];
    copied<Channels>(bytes, background, n);
    for (int j = 0; j < count; ++j) wide[j] = static_cast<float>(bytes[j]);
    for (int i = 0; i < kTile; ++i)
        for (int c = 0; c < (Channels < 3 ? Channels : 3); ++c)
            wide[Channels * i + c] = blended(wide[Channels * i + c], colours[c][i], weights[i]);
    for (int j = 0; j < count; ++j) wide[j] = clamped(wide[j], 255.0f);
    for (int j = 0; j < count; ++j) bytes[j] = static_cast<std::uint8_t>(static_cast<int>(wide[j] + 0.5f));
    copied<Channels>(out, bytes, n);
}

}  // namespace mien
