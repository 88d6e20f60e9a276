// blend on the CPU, patch by patch.
#include "blend.hpp"

#include "parallel.hpp"
#include "tile.hpp"

namespace mien {
namespace {

// One patch of a job.
template <class Mask, class Patch>
struct Single {
    std::uint8_t* out;
    const std::uint8_t* frame;
    const Format& format;
    const Patch* patch;
    const Mask* mask;
    Grid grid;  // of the patch
    Affine<double> to_patch;
    float feather;

    Box box() const { return {0.0, 0.0, double(grid.width), double(grid.height)}; }
    Span span(int y) const { return row_span(to_patch, box(), y, format.grid.width); }
};

MIEN_INLINE void patch_colours(const std::uint8_t* patch, const TileTaps& taps, Grid grid, Values* out) {
    tile_colours(patch, taps, grid, out);
}
MIEN_INLINE void patch_colours(const float* patch, const TileTaps& taps, Grid grid, Values* out) {
    const long long plane = static_cast<long long>(grid.width) * grid.height;
    for (int c = 0; c < 3; ++c) {
        tile_sampled(patch + c * plane, taps, grid, out[c]);
        for (int i = 0; i < kTile; ++i) out[c][i] *= 255.0f;
    }
}

// False where no pixel of the tile has a weight; the colours are not made then.
template <class Mask, class Patch>
MIEN_INLINE bool tile_seen(const Single<Mask, Patch>& job, int x, int y, float* weights, Values* colours) {
    alignas(64) Values px, py;
    TileTaps taps;
    tile_points(job.to_patch, x, y, px, py);
    tile_taps(px, py, job.grid, taps);
    tile_sampled(job.mask, taps, job.grid, weights);
    for (int i = 0; i < kTile; ++i)
        weights[i] = clamped(weights[i] * mask_unit(job.mask), 1.0f) * ramp(px[i], py[i], job.grid, job.feather);
    if (!any_above(weights, 0.0f)) return false;
    patch_colours(job.patch, taps, job.grid, colours);
    return true;
}

template <int Channels, class Mask, class Patch>
MIEN_INLINE void blend_row(const Single<Mask, Patch>& job, int y) {
    const Span span = job.span(y);
    for (int x = span.first; x < span.last; x += kTile) {
        alignas(64) Values weights, colours[3];
        if (!tile_seen(job, x, y, weights, colours)) continue;
        if (red_of(job.format.layout) == 2)
            for (int i = 0; i < kTile; ++i) std::swap(colours[0][i], colours[2][i]);
        const long long at = job.format.pixel(x, y);
        tile_blended<Channels>(job.frame + at, colours, weights, std::min(kTile, span.last - x), job.out + at);
    }
}

// R, G, B to Y, U, V in place.
MIEN_INLINE void tile_yuv(const Yuv& yuv, Values* colours) {
    for (int i = 0; i < kTile; ++i) {
        const float r = colours[0][i], b = colours[2][i], luma = yuv.luma(r, colours[1][i], b);
        colours[0][i] = yuv.y(luma);
        colours[1][i] = yuv.u(luma, b);
        colours[2][i] = yuv.v(luma, r);
    }
}

// Of the 2 x n pixels from (x, y) on, all even; the chroma becomes the mean of what each of its four pixels would have.
template <class Mask, class Patch>
MIEN_INLINE void blend_pair(const Single<Mask, Patch>& job, int x, int y, int n, const Span* spans) {
    alignas(64) std::uint8_t uv[kTile];
    alignas(64) float sums[kTile] = {};
    const long long at_chroma = job.format.chroma(x, y);
    copied<1>(uv, job.frame + at_chroma, n);
    bool touched = false;
    for (int k = 0; k < 2; ++k) {
        alignas(64) Values weights = {}, colours[3] = {};
        if (tile_seen(job, x, y + k, weights, colours)) {
            touched = true;
            for (int i = 0; i < kTile; ++i)
                weights[i] = x + i >= spans[k].first && x + i < spans[k].last ? weights[i] : 0.0f;
            tile_yuv(job.format.yuv, colours);
            const long long at = job.format.pixel(x, y + k);
            tile_blended<1>(job.frame + at, colours, weights, n, job.out + at);
        }
        for (int i = 0; i < n; ++i)
            for (int c = 0; c < 2; ++c) {
                const int sample = i / 2 * 2 + c;
                sums[sample] += blended(static_cast<float>(uv[sample]), colours[1 + c][i], weights[i]);
            }
    }
    if (!touched) return;
    for (int i = 0; i < n; ++i) uv[i] = to_byte(0.25f * sums[i]);
    copied<1>(job.out + at_chroma, uv, n);
}

template <class Mask, class Patch>
MIEN_INLINE void blend_rows_nv12(const Single<Mask, Patch>& job, int first, int last) {
    const Format& format = job.format;
    for (int y = first; y < last; y += 2) {
        const Span spans[2] = {job.span(y), job.span(y + 1)};
        const bool none[2] = {spans[0].size() == 0, spans[1].size() == 0};
        if (none[0] && none[1]) continue;
        const Span both{none[0] ? spans[1].first : none[1] ? spans[0].first : std::min(spans[0].first, spans[1].first),
                        std::max(none[0] ? 0 : spans[0].last, none[1] ? 0 : spans[1].last)};
        const Span span = whole_pairs(both);
        for (int x = span.first; x < span.last; x += kTile)
            blend_pair(job, x, y, std::min({kTile, span.last - x, format.grid.width - x}), spans);
    }
}

template <class Mask, class Patch>
MIEN_INLINE void copy_rows(const Single<Mask, Patch>& job, int first, int last) {
    const Format& format = job.format;
    const long long row = format.row_bytes;
    if (job.out == job.frame) return;
    std::memcpy(job.out + first * row, job.frame + first * row, (last - first) * row);
    if (format.layout == Layout::nv12) {
        const long long at = (format.grid.height + first / 2) * row;
        std::memcpy(job.out + at, job.frame + at, (last - first) / 2 * row);
    }
}

// Of NV12, first and last are even.
template <class Mask, class Patch>
MIEN_INLINE void blend_rows(const Single<Mask, Patch>& job, int first, int last) {
    if (job.format.layout == Layout::nv12) {
        copy_rows(job, first, last);
        return blend_rows_nv12(job, first, last);
    }
    for (int y = first; y < last; ++y) {
        copy_rows(job, y, y + 1);
        if (channels_of(job.format.layout) == 4)
            blend_row<4>(job, y);
        else
            blend_row<3>(job, y);
    }
}

MIEN_CLONES void rows_of(const Single<std::uint8_t, std::uint8_t>& job, int first, int last) {
    blend_rows(job, first, last);
}
MIEN_CLONES void rows_of(const Single<float, std::uint8_t>& job, int first, int last) { blend_rows(job, first, last); }
MIEN_CLONES void rows_of(const Single<std::uint8_t, float>& job, int first, int last) { blend_rows(job, first, last); }
MIEN_CLONES void rows_of(const Single<float, float>& job, int first, int last) { blend_rows(job, first, last); }

template <class Mask, class Patch>
void blend_single(const Single<Mask, Patch>& job) {
    const Bounds bounds = frame_bounds(job.to_patch, job.box(), job.format.grid);
    Span rows = job.out == job.frame ? bounds.y : Span{0, job.format.grid.height};
    const int step = job.format.layout == Layout::nv12 ? 2 : 1;
    if (step == 2) rows = whole_pairs(rows);
    parallel_rows(rows.first / step, rows.last / step, bounds.pixels(),
                  [&](int first, int last) { rows_of(job, first * step, last * step); });
}

}  // namespace

template <class Mask, class Patch>
void blend_cpu(const Blend<Mask, Patch>& job) {
    if (job.count == 0 && job.out != job.frame) std::memcpy(job.out, job.frame, job.format.bytes());
    for (int i = 0; i < job.count; ++i)
        blend_single<Mask, Patch>({job.out, i ? job.out : job.frame, job.format, job.patch(i), job.mask(i),
                                   job.patch_grid, job.to_patch[i], job.feather});
}

template void blend_cpu(const Blend<std::uint8_t, std::uint8_t>&);
template void blend_cpu(const Blend<float, std::uint8_t>&);
template void blend_cpu(const Blend<std::uint8_t, float>&);
template void blend_cpu(const Blend<float, float>&);

}  // namespace mien
