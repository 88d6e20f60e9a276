// blend on the CPU.
#include "blend.hpp"

#include "parallel.hpp"
#include "tile.hpp"

namespace mien {
namespace {

template <class Mask>
MIEN_INLINE void blend_tile(const Blend<Mask>& job, int x, int y, int n) {
    alignas(64) Values px, py, weights, colours[3];
    TileTaps taps;
    tile_points(job.to_patch, x, y, px, py);
    tile_taps(px, py, job.patch_grid, taps);
    tile_sampled(job.mask, taps, job.patch_grid, weights);
    for (int i = 0; i < kTile; ++i)
        weights[i] = clamped(weights[i] * mask_unit(job.mask), 1.0f) * ramp(px[i], py[i], job.patch_grid, job.feather);
    if (!any_above(weights, 0.0f)) return;
    tile_colours(job.patch, taps, job.patch_grid, colours);
    const long long at = 3 * (static_cast<long long>(y) * job.frame_grid.width + x);
    tile_blended(job.frame + at, colours, weights, n, job.out + at);
}

template <class Mask>
MIEN_INLINE void blend_rows(const Blend<Mask>& job, int first, int last) {
    const long long stride = 3LL * job.frame_grid.width;
    for (int y = first; y < last; ++y) {
        if (job.out != job.frame) std::memcpy(job.out + y * stride, job.frame + y * stride, stride);
        const Span span = row_span(job.to_patch, job.box(), y, job.frame_grid.width);
        for (int x = span.first; x < span.last; x += kTile) blend_tile(job, x, y, std::min(kTile, span.last - x));
    }
}

MIEN_CLONES void rows_of(const Blend<std::uint8_t>& job, int first, int last) { blend_rows(job, first, last); }
MIEN_CLONES void rows_of(const Blend<float>& job, int first, int last) { blend_rows(job, first, last); }

}  // namespace

template <class Mask>
void blend_cpu(const Blend<Mask>& job) {
    const Bounds bounds = frame_bounds(job.to_patch, job.box(), job.frame_grid);
    const Span rows = job.out == job.frame ? bounds.y : Span{0, job.frame_grid.height};
    parallel_rows(rows.first, rows.last, bounds.pixels(), [&](int first, int last) { rows_of(job, first, last); });
}

template void blend_cpu(const Blend<std::uint8_t>&);
template void blend_cpu(const Blend<float>&);

}  // namespace mien
