// warp_blend on the CPU.
#include "warp_blend.hpp"

#include "parallel.hpp"
#include "tile.hpp"

namespace mien {
namespace {

// The crop pixels within reach of a mask value above 0: often half of the crop.
Box active_box(const WarpBlend& job) {
    const int w = job.crop_grid.width, h = job.crop_grid.height;
    int x0 = w, x1 = 0, y0 = h, y1 = 0;
    for (int y = 0; y < h; ++y) {
        const float* row = job.mask + static_cast<long long>(y) * w;
        int first = 0, last = w;
        while (first < w && !(row[first] > 0.0f)) ++first;
        while (last > first && !(row[last - 1] > 0.0f)) --last;
        if (first == last) continue;
        x0 = std::min(x0, first), x1 = std::max(x1, last), y0 = std::min(y0, y), y1 = y + 1;
    }
    if (x0 >= x1) return {0, 0, 0, 0};
    const auto below = [](int first) { return std::max(0.0, first - 1.0); };
    const auto above = [](int last, int count) { return std::min<double>(count, last + 1.0); };
    return {below(x0), below(y0), above(x1, w), above(y1, h)};
}

// The warped colours times their gains, for pixels that lie at crop points px, py.
MIEN_INLINE void tile_shaded(const WarpBlend& job, const float* px, const float* py, Values* warped) {
    alignas(64) Values at_x, at_y, gains;
    TileTaps taps;
    const Grid shade = job.shade_grid, crop = job.crop_grid;
    const float to_shade_x = static_cast<float>(shade.width) / static_cast<float>(crop.width);
    const float to_shade_y = static_cast<float>(shade.height) / static_cast<float>(crop.height);
    for (int i = 0; i < kTile; ++i) at_x[i] = px[i] * to_shade_x, at_y[i] = py[i] * to_shade_y;
    tile_taps(at_x, at_y, shade, taps);
    const long long plane = static_cast<long long>(shade.width) * shade.height;
    for (int c = 0; c < 3; ++c) {
        tile_sampled(job.shade + c * plane, taps, shade, gains);
        for (int i = 0; i < kTile; ++i) warped[c][i] *= gains[i];
    }
}

// The warped source for pixels (x, y), (x + 1, y), ... that lie at crop points px, py. A flow that is not finite makes
// its share NaN.
MIEN_INLINE void tile_warped(const WarpBlend& job, int x, int y, const float* px, const float* py, float* shares,
                             Values* warped) {
    alignas(64) Values at_x, at_y, dx, dy;
    TileTaps taps;
    const Grid flow = job.flow_grid, crop = job.crop_grid;
    const float to_flow_x = static_cast<float>(flow.width) / static_cast<float>(crop.width);
    const float to_flow_y = static_cast<float>(flow.height) / static_cast<float>(crop.height);
    for (int i = 0; i < kTile; ++i) at_x[i] = px[i] * to_flow_x, at_y[i] = py[i] * to_flow_y;
    tile_taps(at_x, at_y, flow, taps);
    tile_sampled(job.flow, taps, flow, dx);
    tile_sampled(job.flow + static_cast<long long>(flow.width) * flow.height, taps, flow, dy);
    const Affine<float> step = job.flow_to_source();
    for (int i = 0; i < kTile; ++i) {
        shares[i] = share_with_flow(shares[i], dx[i], dy[i]);
        at_x[i] = static_cast<float>(x + i) + step.x(dx[i], dy[i]);
        at_y[i] = static_cast<float>(y) + step.y(dx[i], dy[i]);
    }
    tile_taps(at_x, at_y, job.source_grid, taps);
    tile_colours(job.source, taps, job.source_grid, warped);
    if (job.shade) tile_shaded(job, px, py, warped);
}

MIEN_INLINE void warp_blend_tile(const WarpBlend& job, int x, int y, int n) {
    alignas(64) Values px, py, weights, shares, paint, colours[3];
    TileTaps taps;
    tile_points(job.to_crop, x, y, px, py);
    tile_taps(px, py, job.crop_grid, taps);
    tile_sampled(job.mask, taps, job.crop_grid, weights);
    for (int i = 0; i < kTile; ++i) weights[i] = clamped(weights[i], 1.0f);
    if (!any_above(weights, 0.0f)) return;

    tile_sampled(job.visible, taps, job.crop_grid, shares);
    for (int i = 0; i < kTile; ++i) shares[i] = share(shares[i]);
    if (any_above(shares, 0.0f))
        tile_warped(job, x, y, px, py, shares, colours);
    else
        std::memset(colours, 0, sizeof colours);
    if (any_below(shares, 1.0f)) {
        const long long plane = static_cast<long long>(job.crop_grid.width) * job.crop_grid.height;
        for (int c = 0; c < 3; ++c) {
            tile_sampled(job.paint + c * plane, taps, job.crop_grid, paint);
            for (int i = 0; i < kTile; ++i) colours[c][i] = composed(colours[c][i], 255.0f * paint[i], shares[i]);
        }
    } else {
        for (int c = 0; c < 3; ++c)
            for (int i = 0; i < kTile; ++i) colours[c][i] = composed(colours[c][i], 0.0f, shares[i]);
    }
    const long long at = 3 * (static_cast<long long>(y) * job.source_grid.width + x);
    tile_blended<3>(job.source + at, colours, weights, n, job.out + at);
}

MIEN_CLONES void rows_of(const WarpBlend& job, const Box& box, int first, int last) {
    const long long stride = 3LL * job.source_grid.width;
    for (int y = first; y < last; ++y) {
        std::memcpy(job.out + y * stride, job.source + y * stride, stride);
        const Span span = row_span(job.to_crop, box, y, job.source_grid.width);
        for (int x = span.first; x < span.last; x += kTile) warp_blend_tile(job, x, y, std::min(kTile, span.last - x));
    }
}

}  // namespace

void warp_blend_cpu(const WarpBlend& job) {
    const Box box = active_box(job);
    const Bounds bounds = frame_bounds(job.to_crop, box, job.source_grid);
    const auto rows = [&](int first, int last) { rows_of(job, box, first, last); };
    parallel_rows(0, job.source_grid.height, bounds.pixels(), rows);
}

}  // namespace mien
