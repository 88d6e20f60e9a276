// fit on a CUDA device: one thread for each pixel of each plane.
#include "cuda_check.hpp"
#include "fit.hpp"

namespace mien {
namespace {

__global__ void fit_threads(Fit job) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < job.out_grid.width && y < job.out_grid.height) fit_pixel(job, blockIdx.z, x, y);
}

}  // namespace

void fit_cuda(const Fit& job, void* stream) {
    const dim3 block(32, 8), blocks((job.out_grid.width + 31) / 32, (job.out_grid.height + 7) / 8, job.planes);
    fit_threads<<<blocks, block, 0, static_cast<cudaStream_t>(stream)>>>(job);
    cuda_check(cudaGetLastError(), "fit: starting the kernel");
}

}  // namespace mien
