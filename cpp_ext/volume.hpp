// sample_volume: LivePortrait's warp, ONNX GridSample of rank 5: linear, zeros outside, corners not aligned.
#pragma once

#include "pixel.hpp"

namespace mien {

struct Box3 {
    int depth, height, width;

    MIEN_INLINE long long voxels() const { return static_cast<long long>(depth) * height * width; }
};

// volume (batch, channels, in), grid (batch, out, 3) of x, y, z with -1 and 1 at the outer faces, out (batch, channels,
// out); no gaps. A place that is not finite, or outside, is nothing: 0.
template <class Value>
struct SampleVolume {
    Value* out;
    const Value* volume;
    const float* grid;
    int batch, channels;
    Box3 in, size;  // size: of out
};

// The two neighbours of a coordinate on one axis: where, and with which weight; weight 0 and index 0 where outside.
struct Pair {
    int low, high;
    float low_weight, high_weight;
};

MIEN_INLINE Pair pair_at(float place, int count) {
    const float at = ((place + 1.0f) * static_cast<float>(count) - 1.0f) * 0.5f;
    if (!(at > -1.0f && at < static_cast<float>(count))) return {0, 0, 0.0f, 0.0f};  // NaN is outside, too
    const int low = static_cast<int>(at + 1.0f) - 1;  // at + 1 is not negative: truncation is the floor
    const float share = at - static_cast<float>(low);
    const bool has_low = low >= 0, has_high = low + 1 < count;
    return {has_low ? low : 0, has_high ? low + 1 : 0, has_low ? 1.0f - share : 0.0f, has_high ? share : 0.0f};
}

// A voxel of the volume counts only with a weight: nothing that is not finite spreads from where it is not looked at.
MIEN_INLINE float weighted(float value, float weight) { return weight > 0.0f ? weight * value : 0.0f; }

// What one CUDA thread does: the channels from `first` to before `last` of one voxel of one result.
template <class Value>
MIEN_INLINE void sample_voxel(const SampleVolume<Value>& job, int n, long long voxel, int first, int last) {
    const long long all = job.size.voxels(), plane = job.in.voxels();
    const float* place = job.grid + 3 * (n * all + voxel);
    const Pair x = pair_at(place[0], job.in.width), y = pair_at(place[1], job.in.height);
    const Pair z = pair_at(place[2], job.in.depth);
    const long long rows[4] = {(static_cast<long long>(z.low) * job.in.height + y.low) * job.in.width,
                               (static_cast<long long>(z.low) * job.in.height + y.high) * job.in.width,
                               (static_cast<long long>(z.high) * job.in.height + y.low) * job.in.width,
                               (static_cast<long long>(z.high) * job.in.height + y.high) * job.in.width};
    const float weights[4] = {z.low_weight * y.low_weight, z.low_weight * y.high_weight, z.high_weight * y.low_weight,
                              z.high_weight * y.high_weight};
    for (int c = first; c < last; ++c) {
        const Value* volume = job.volume + (static_cast<long long>(n) * job.channels + c) * plane;
        float sum = 0.0f;
        for (int k = 0; k < 4; ++k) {
            sum += weighted(static_cast<float>(volume[rows[k] + x.low]), weights[k] * x.low_weight);
            sum += weighted(static_cast<float>(volume[rows[k] + x.high]), weights[k] * x.high_weight);
        }
        job.out[(static_cast<long long>(n) * job.channels + c) * all + voxel] = Value(sum);
    }
}

// Channels for one thread: few enough that LivePortrait's one volume fills a large GPU.
constexpr int kChannelsPerThread = 8;

// Pointers are on the device; the work is queued on the stream (a cudaStream_t) and not waited for.
template <class Value>
void sample_volume_cuda(const SampleVolume<Value>& job, void* stream);

}  // namespace mien
