// warp_blend on a CUDA device: one thread for each pixel of the crop's bounding box.
#include "cuda_check.hpp"
#include "warp_blend.hpp"

namespace mien {
namespace {

__global__ void warp_blend_threads(WarpBlend job, WarpView view) {
    const int x = view.bounds.x.first + blockIdx.x * blockDim.x + threadIdx.x;
    const int y = view.bounds.y.first + blockIdx.y * blockDim.y + threadIdx.y;
    if (x < view.bounds.x.last && y < view.bounds.y.last) warp_blend_pixel(job, view, x, y);
}

}  // namespace

void warp_blend_cuda(const WarpBlend& job, void* stream) {
    const auto queue = static_cast<cudaStream_t>(stream);
    const size_t bytes = size_t{3} * job.source_grid.width * job.source_grid.height;
    cuda_check(cudaMemcpyAsync(job.out, job.source, bytes, cudaMemcpyDeviceToDevice, queue),
               "warp_blend: copying the source");
    const WarpView view = warp_view(job);
    if (view.bounds.pixels() == 0) return;
    const dim3 block(32, 8), blocks((view.bounds.x.size() + 31) / 32, (view.bounds.y.size() + 7) / 8);
    warp_blend_threads<<<blocks, block, 0, queue>>>(job, view);
    cuda_check(cudaGetLastError(), "warp_blend: starting the kernel");
}

}  // namespace mien
