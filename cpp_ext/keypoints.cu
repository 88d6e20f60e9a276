// place_keypoints on a CUDA device: one thread for each point.
#include "cuda_check.hpp"
#include "keypoints.hpp"

namespace mien {
namespace {

__global__ void keypoint_threads(PlaceKeypoints job) {
    const long long index = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= static_cast<long long>(job.batch) * job.count) return;
    place_keypoint(job, static_cast<int>(index / job.count), static_cast<int>(index % job.count));
}

}  // namespace

void place_keypoints_cuda(const PlaceKeypoints& job, void* stream) {
    constexpr int threads = 64;
    const long long points = static_cast<long long>(job.batch) * job.count;
    const auto blocks = static_cast<unsigned>((points + threads - 1) / threads);
    keypoint_threads<<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(job);
    cuda_check(cudaGetLastError(), "place_keypoints: starting the kernel");
}

}  // namespace mien
