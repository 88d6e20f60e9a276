// Which pixels of a frame a transformed rectangle covers, exactly, in double precision.
#pragma once

#include <algorithm>
#include <cmath>

#include "pixel.hpp"

namespace mien {

// Half-open: [x0, x1) x [y0, y1).
struct Box {
    double x0, y0, x1, y1;
};

struct Span {
    int first, last;

    MIEN_INLINE int size() const { return last - first; }
};

// The integers t in [0, count) with low <= slope * (t + 0.5) + offset < high.
inline Span solved(double slope, double offset, double low, double high, int count) {
    if (slope == 0.0) return offset >= low && offset < high ? Span{0, count} : Span{0, 0};
    const double at_low = (low - offset) / slope - 0.5, at_high = (high - offset) / slope - 0.5;
    const double first = slope > 0 ? std::ceil(at_low) : std::floor(at_high) + 1;
    const double last = slope > 0 ? std::ceil(at_high) : std::floor(at_low) + 1;
    const double limit = count;
    return {static_cast<int>(std::clamp(first, 0.0, limit)), static_cast<int>(std::clamp(last, 0.0, limit))};
}

// The pixels of row y whose centres `inverse` maps into the box.
inline Span row_span(const Affine<double>& inverse, const Box& box, int y, int width) {
    const double at_y = y + 0.5;
    const Span a = solved(inverse.xx, inverse.x(0, at_y), box.x0, box.x1, width);
    const Span b = solved(inverse.yx, inverse.y(0, at_y), box.y0, box.y1, width);
    const int first = std::max(a.first, b.first);
    return {first, std::max(first, std::min(a.last, b.last))};
}

struct Bounds {
    Span x, y;

    long long pixels() const { return static_cast<long long>(x.size()) * y.size(); }
    MIEN_INLINE bool holds(int px, int py) const {
        return px >= x.first && px < x.last && py >= y.first && py < y.last;
    }
};

inline Bounds united(const Bounds& a, const Bounds& b) {
    return {{std::min(a.x.first, b.x.first), std::max(a.x.last, b.x.last)},
            {std::min(a.y.first, b.y.first), std::max(a.y.last, b.y.last)}};
}

// Widened to begin and end at even numbers.
inline Span whole_pairs(const Span& span) { return {span.first / 2 * 2, (span.last + 1) / 2 * 2}; }

// `inverse` in single precision, counted from the centre of pixel (x, y), so that the numbers stay small.
inline Affine<float> from_pixel(const Affine<double>& inverse, int x, int y) {
    return {float(inverse.xx), float(inverse.xy), float(inverse.x(x + 0.5, y + 0.5)),
            float(inverse.yx), float(inverse.yy), float(inverse.y(x + 0.5, y + 0.5))};
}

// The smallest rectangle of frame pixels that holds the box; `inverse` maps the frame to the box and is invertible.
inline Bounds frame_bounds(const Affine<double>& inverse, const Box& box, Grid frame) {
    const double det = inverse.xx * inverse.yy - inverse.xy * inverse.yx;
    double low[2] = {HUGE_VAL, HUGE_VAL}, high[2] = {-HUGE_VAL, -HUGE_VAL};
    for (int corner = 0; corner < 4; ++corner) {
        const double x = (corner & 1 ? box.x1 : box.x0) - inverse.x0, y = (corner & 2 ? box.y1 : box.y0) - inverse.y0;
        const double at[2] = {(inverse.yy * x - inverse.xy * y) / det, (inverse.xx * y - inverse.yx * x) / det};
        for (int axis = 0; axis < 2; ++axis) {
            low[axis] = std::min(low[axis], at[axis]);
            high[axis] = std::max(high[axis], at[axis]);
        }
    }
    const auto span = [](double from, double to, int count) {
        const double limit = count, first = std::clamp(std::floor(from), 0.0, limit);
        return Span{static_cast<int>(first), static_cast<int>(std::clamp(std::ceil(to), first, limit))};
    };
    return {span(low[0], high[0], frame.width), span(low[1], high[1], frame.height)};
}

}  // namespace mien
