// How a picture lies in memory: the layouts that cameras, decoders and encoders hand over, one pixel at a time.
#pragma once

#include "pixel.hpp"

namespace mien {

// In the order of mien.kernels.layouts.LAYOUTS.
enum class Layout : int { rgb, bgr, rgba, bgra, nv12 };

MIEN_INLINE int channels_of(Layout layout) {
    return layout == Layout::nv12 ? 1 : layout == Layout::rgba || layout == Layout::bgra ? 4 : 3;
}

// Where red is among a pixel's bytes; green is at 1, blue at 2 minus this.
MIEN_INLINE int red_of(Layout layout) { return layout == Layout::bgr || layout == Layout::bgra ? 2 : 0; }

// Y, Cb, Cr in bytes to R, G, B in 0..255 and back. luma = gain (y - black), r = luma + rv (v - 128), b = luma +
// bu (u - 128), g = luma + gu (u - 128) + gv (v - 128), and luma = kr r + (1 - kr - kb) g + kb b.
struct Yuv {
    float black, gain, rv, gu, gv, bu, kr, kb;

    MIEN_INLINE float luma(float r, float g, float b) const { return kr * r + (1.0f - kr - kb) * g + kb * b; }
    MIEN_INLINE float y(float luma) const { return black + luma / gain; }
    MIEN_INLINE float u(float luma, float b) const { return 128.0f + (b - luma) / bu; }
    MIEN_INLINE float v(float luma, float r) const { return 128.0f + (r - luma) / rv; }
};

struct Rgb {
    int r, g, b;  // 0..255
};

MIEN_INLINE Rgb rgb_of(const Yuv& yuv, int y, int u, int v) {
    const float luma = yuv.gain * (static_cast<float>(y) - yuv.black);
    const float du = static_cast<float>(u - 128), dv = static_cast<float>(v - 128);
    return {to_byte(luma + yuv.rv * dv), to_byte(luma + yuv.gu * du + yuv.gv * dv), to_byte(luma + yuv.bu * du)};
}

struct Format {
    Layout layout;
    Grid grid;            // in pixels; NV12 has even sides
    long long row_bytes;  // from one row to the next, in the chroma plane as well
    Yuv yuv;              // of NV12

    // Of NV12 the luma.
    MIEN_INLINE long long pixel(int x, int y) const { return y * row_bytes + channels_of(layout) * x; }
    // The chroma of the 2x2 pixels that hold this one.
    MIEN_INLINE long long chroma(int x, int y) const { return (grid.height + y / 2) * row_bytes + x / 2 * 2; }
    // Of the buffer.
    MIEN_INLINE int rows() const { return layout == Layout::nv12 ? grid.height / 2 * 3 : grid.height; }
    MIEN_INLINE long long bytes() const { return rows() * row_bytes; }
};

// The pixel as RGB; one of NV12 has the chroma of its 2x2 pixels.
MIEN_INLINE Rgb rgb_at(const std::uint8_t* picture, const Format& format, int x, int y) {
    const std::uint8_t* at = picture + format.pixel(x, y);
    if (format.layout == Layout::nv12) {
        const std::uint8_t* uv = picture + format.chroma(x, y);
        return rgb_of(format.yuv, at[0], uv[0], uv[1]);
    }
    const int red = red_of(format.layout);
    return {at[red], at[1], at[2 - red]};
}

}  // namespace mien
