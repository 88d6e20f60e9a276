// place_keypoints: LivePortrait's motion network's outputs to the keypoints they stand for.
#pragma once

#include <cmath>

#include "pixel.hpp"

namespace mien {

// canonical (batch, count, 3), angles (batch, 3) pitch, yaw, roll in degrees, expression (batch, count, 3), scale
// (batch), translation (batch, 3), whose z is not used, out (batch, count, 3); all float, without gaps.
struct PlaceKeypoints {
    float* out;
    const float* canonical;
    const float* angles;
    const float* expression;
    const float* scale;
    const float* translation;
    int batch, count;
};

// What one CUDA thread does, point i of row n: scale (canonical R + expression) + (tx, ty, 0), for points as rows and
// R = (Rz Ry Rx)^T.
MIEN_INLINE void place_keypoint(const PlaceKeypoints& job, int n, int i) {
    constexpr float radians = 0.017453292519943295f;
    const float* angles = job.angles + 3LL * n;
    const float cp = cosf(angles[0] * radians), sp = sinf(angles[0] * radians);
    const float cy = cosf(angles[1] * radians), sy = sinf(angles[1] * radians);
    const float cr = cosf(angles[2] * radians), sr = sinf(angles[2] * radians);
    const long long at = 3 * (static_cast<long long>(n) * job.count + i);
    const float x = job.canonical[at], y = job.canonical[at + 1], z = job.canonical[at + 2];
    const float tilted_y = cp * y - sp * z, tilted_z = sp * y + cp * z;          // about x
    const float turned_x = cy * x + sy * tilted_z, turned_z = cy * tilted_z - sy * x;  // then about y
    const float rolled_x = cr * turned_x - sr * tilted_y, rolled_y = sr * turned_x + cr * tilted_y;
    const float* expression = job.expression + at;
    const float scale = job.scale[n];
    job.out[at] = scale * (rolled_x + expression[0]) + job.translation[3LL * n];
    job.out[at + 1] = scale * (rolled_y + expression[1]) + job.translation[3LL * n + 1];
    job.out[at + 2] = scale * (turned_z + expression[2]);
}

// Pointers are on the device; the work is queued on the stream (a cudaStream_t) and not waited for.
void place_keypoints_cuda(const PlaceKeypoints& job, void* stream);

}  // namespace mien
