// fit: planes averaged down to a smaller size, their right and lower edge repeated, as a patch that blend can lay.
#pragma once

#include "pixel.hpp"

namespace mien {

struct Fit {
    float* out;  // planes, each of out_grid
    Grid out_grid;
    const float* in;  // planes, each of in_grid
    Grid in_grid;
    Grid fitted;  // what the planes are averaged down to; beyond it `out` repeats its edge
    int planes;
};

// The pixels of one axis that one of fewer pixels covers, and how much of the first and of the last of them.
struct Cover {
    int first, last;  // both included
    float first_share, last_share;

    MIEN_INLINE float share(int i) const {
        if (first == last) return 1.0f;
        return i == first ? first_share : i == last ? last_share : 1.0f;
    }
};

MIEN_INLINE Cover cover_of(int place, int count, int fitted) {
    const int at = place < fitted ? place : fitted - 1;
    // In units of 1 / fitted of a pixel, so that nothing is rounded.
    const long long from = static_cast<long long>(at) * count, to = from + count;
    const int first = static_cast<int>(from / fitted), last = static_cast<int>((to - 1) / fitted);
    const float unit = static_cast<float>(fitted);
    return {first, last, static_cast<float>((first + 1LL) * fitted - from) / unit,
            static_cast<float>(to - static_cast<long long>(last) * fitted) / unit};
}

// What one CUDA thread does: pixel (x, y) of one plane. A NaN stays one.
MIEN_INLINE void fit_pixel(const Fit& job, int plane, int x, int y) {
    const Cover across = cover_of(x, job.in_grid.width, job.fitted.width);
    const Cover down = cover_of(y, job.in_grid.height, job.fitted.height);
    const float* in = job.in + static_cast<long long>(plane) * job.in_grid.width * job.in_grid.height;
    float sum = 0.0f, weights = 0.0f;
    for (int j = down.first; j <= down.last; ++j)
        for (int i = across.first; i <= across.last; ++i) {
            const float weight = down.share(j) * across.share(i);
            sum += weight * in[static_cast<long long>(j) * job.in_grid.width + i];
            weights += weight;
        }
    job.out[(static_cast<long long>(plane) * job.out_grid.height + y) * job.out_grid.width + x] = sum / weights;
}

// out and in are on the device; the work is queued on the stream (a cudaStream_t) and not waited for.
void fit_cuda(const Fit& job, void* stream);

}  // namespace mien
