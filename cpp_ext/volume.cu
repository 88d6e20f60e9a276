// sample_volume on a CUDA device: one thread for eight channels of a voxel.
#include <cuda_fp16.h>

#include "cuda_check.hpp"
#include "volume.hpp"

namespace mien {
namespace {

template <class Value>
__global__ void sample_threads(SampleVolume<Value> job) {
    const long long voxel = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int first = blockIdx.y * kChannelsPerThread, last = first + kChannelsPerThread;
    if (voxel >= job.size.voxels()) return;
    sample_voxel(job, blockIdx.z, voxel, first, last < job.channels ? last : job.channels);
}

}  // namespace

template <class Value>
void sample_volume_cuda(const SampleVolume<Value>& job, void* stream) {
    constexpr int threads = 256;
    const dim3 blocks(static_cast<unsigned>((job.size.voxels() + threads - 1) / threads),
                      (job.channels + kChannelsPerThread - 1) / kChannelsPerThread, job.batch);
    sample_threads<<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(job);
    cuda_check(cudaGetLastError(), "sample_volume: starting the kernel");
}

template void sample_volume_cuda(const SampleVolume<float>&, void*);
template void sample_volume_cuda(const SampleVolume<__half>&, void*);

}  // namespace mien
