// crop on the CPU: the part under the crop is first brought to RGB bytes and shrunk, where it needs that, then sampled.
#include "crop.hpp"

#include <vector>

#include "parallel.hpp"
#include "tile.hpp"

namespace mien {
namespace {

// Interleaved bytes without gaps; `red` is 2 where they are BGR.
struct Small {
    const std::uint8_t* data;
    Grid grid;
    int red;
};

// n pixels of row y from x on, as interleaved bytes: the frame's own where they are that already.
MIEN_INLINE const std::uint8_t* interleaved(const std::uint8_t* frame, const Format& format, int x, int y, int n,
                                            std::uint8_t* scratch) {
    if (channels_of(format.layout) == 3) return frame + format.pixel(x, y);
    for (int i = 0; i < n; ++i) {
        const Rgb pixel = rgb_at(frame, format, x + i, y);
        scratch[3 * i] = static_cast<std::uint8_t>(pixel.r);
        scratch[3 * i + 1] = static_cast<std::uint8_t>(pixel.g);
        scratch[3 * i + 2] = static_cast<std::uint8_t>(pixel.b);
    }
    return scratch;
}

// Columns of sums to means of `shrink` neighbours.
MIEN_INLINE void means(const std::uint16_t* columns, int count, int shrink, std::uint8_t* out) {
    for (int i = 0; i < count; ++i)
        for (int c = 0; c < 3; ++c) {
            int sum = 0;
            for (int dx = 0; dx < shrink; ++dx) sum += columns[3 * (i * shrink + dx) + c];
            out[3 * i + c] = static_cast<std::uint8_t>(static_cast<int>(rounded_mean(sum, shrink * shrink)));
        }
}

// The same for a shrink known to the compiler: the means from every column on, which is a vector loop, and of them
// those that are wanted. `columns` can be read 3 shrink further, and is used up.
template <int Shrink>
MIEN_INLINE void means(std::uint16_t* columns, int count, std::uint8_t* out) {
    constexpr int area = Shrink * Shrink;
    for (int i = 0; i < 3 * Shrink * count; ++i) {
        int sum = area / 2;
        for (int dx = 0; dx < Shrink; ++dx) sum += columns[i + 3 * dx];
        columns[i] = static_cast<std::uint16_t>(sum / area);
    }
    for (int i = 0; i < count; ++i)
        for (int c = 0; c < 3; ++c) out[3 * i + c] = static_cast<std::uint8_t>(columns[3 * Shrink * i + c]);
}

MIEN_CLONES void shrink_rows(const std::uint8_t* frame, const Format& format, const CropPlace& place, int first,
                             int last, std::uint8_t* out) {
    const int wanted = place.blocks.width * place.shrink, here = std::min(wanted, format.grid.width - place.x);
    std::vector<std::uint8_t> scratch(3 * static_cast<size_t>(here));
    std::vector<std::uint16_t> columns(3 * static_cast<size_t>(wanted + place.shrink));
    for (int j = first; j < last; ++j) {
        std::fill(columns.begin(), columns.end(), std::uint16_t{0});
        std::uint16_t* sums = columns.data();
        for (int dy = 0; dy < place.shrink; ++dy) {
            const int y = std::min(place.y + j * place.shrink + dy, format.grid.height - 1);
            const std::uint8_t* row = interleaved(frame, format, place.x, y, here, scratch.data());
            for (int i = 0; i < 3 * here; ++i) sums[i] = static_cast<std::uint16_t>(sums[i] + row[i]);
        }
        for (int i = 3 * here; i < 3 * wanted; ++i) sums[i] = sums[i - 3];
        std::uint8_t* to = out + 3LL * j * place.blocks.width;
        switch (place.shrink) {
            case 1: means<1>(sums, place.blocks.width, to); break;
            case 2: means<2>(sums, place.blocks.width, to); break;
            case 3: means<3>(sums, place.blocks.width, to); break;
            case 4: means<4>(sums, place.blocks.width, to); break;
            default: means(sums, place.blocks.width, place.shrink, to);
        }
    }
}

MIEN_CLONES void sample_rows(const Small& small, const Affine<double>& to_small, float* out, Grid crop, int first,
                             int last) {
    const long long plane = static_cast<long long>(crop.width) * crop.height;
    float* planes[3] = {out + small.red * plane, out + plane, out + (2 - small.red) * plane};
    for (int y = first; y < last; ++y)
        for (int x = 0; x < crop.width; x += kTile) {
            alignas(64) Values px, py, colours[3];
            TileTaps taps;
            tile_points(to_small, x, y, px, py);
            tile_taps(px, py, small.grid, taps);
            tile_colours(small.data, taps, small.grid, colours);
            for (int c = 0; c < 3; ++c)
                for (int i = 0; i < kTile; ++i) colours[c][i] *= 1.0f / 255.0f;
            const size_t bytes = sizeof(float) * std::min(kTile, crop.width - x);
            for (int c = 0; c < 3; ++c)
                std::memcpy(planes[c] + static_cast<long long>(y) * crop.width + x, colours[c], bytes);
        }
}

void sample(const Small& small, const Affine<double>& to_small, float* out, Grid crop) {
    const auto rows = [&](int first, int last) { sample_rows(small, to_small, out, crop, first, last); };
    parallel_rows(0, crop.height, static_cast<long long>(crop.width) * crop.height, rows);
}

void crop_one(const Crop<float>& job, const Affine<double>& to_frame, float* out) {
    const Format& format = job.format;
    const CropPlace place = crop_place(to_frame, job.crop_grid, format.grid);
    const bool as_it_is = channels_of(format.layout) == 3 && format.row_bytes == 3LL * format.grid.width;
    if (place.shrink == 1 && as_it_is)
        return sample({job.frame, format.grid, red_of(format.layout)}, to_frame, out, job.crop_grid);
    const long long blocks = static_cast<long long>(place.blocks.width) * place.blocks.height;
    const std::unique_ptr<std::uint8_t[]> small(new std::uint8_t[3 * blocks]);
    const auto rows = [&](int first, int last) {
        shrink_rows(job.frame, format, place, first, last, small.get());
    };
    // Adding a pixel up is a fifth of the work of sampling one.
    parallel_rows(0, place.blocks.height, blocks * place.shrink * place.shrink / 5, rows);
    const int red = channels_of(format.layout) == 3 ? red_of(format.layout) : 0;
    sample({small.get(), place.blocks, red}, place.to_blocks, out, job.crop_grid);
}

}  // namespace

void crop_cpu(const Crop<float>& job) {
    const long long size = 3LL * job.crop_grid.width * job.crop_grid.height;
    for (int i = 0; i < job.count; ++i) crop_one(job, job.to_frame[i], job.out + i * size);
}

}  // namespace mien
