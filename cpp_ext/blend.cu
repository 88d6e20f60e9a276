// blend on a CUDA device: one thread for each pixel under any patch (of NV12, for 2x2), up to 32 patches in a launch.
#include <cuda_fp16.h>

#include "blend.hpp"
#include "cuda_check.hpp"

namespace mien {
namespace {

template <class Mask, class Patch>
__global__ void blend_threads(Blend<Mask, Patch> job, BlendViews views) {
    const int step = job.format.layout == Layout::nv12 ? 2 : 1;
    const int x = views.bounds.x.first + step * (blockIdx.x * blockDim.x + threadIdx.x);
    const int y = views.bounds.y.first + step * (blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= views.bounds.x.last || y >= views.bounds.y.last) return;
    if (step == 2)
        blend_quad(job, views, x, y);
    else
        blend_pixel(job, views, x, y);
}

}  // namespace

template <class Mask, class Patch>
void blend_cuda(const Blend<Mask, Patch>& job, void* stream) {
    const auto queue = static_cast<cudaStream_t>(stream);
    if (job.out != job.frame)
        cuda_check(cudaMemcpyAsync(job.out, job.frame, job.format.bytes(), cudaMemcpyDeviceToDevice, queue),
                   "blend: copying the frame");
    const int step = job.format.layout == Layout::nv12 ? 2 : 1;
    for (int first = 0; first < job.count; first += kMostPatches) {
        Blend<Mask, Patch> part = job;
        part.patches = job.patch(first);
        part.masks = job.mask(first);
        part.to_patch = job.to_patch + first;
        part.count = std::min(kMostPatches, job.count - first);
        const BlendViews views = blend_views(part);
        if (views.bounds.pixels() == 0) continue;
        const int across = views.bounds.x.size() / step, down = views.bounds.y.size() / step;
        const dim3 block(32, 8), blocks((across + 31) / 32, (down + 7) / 8);
        blend_threads<<<blocks, block, 0, queue>>>(part, views);
        cuda_check(cudaGetLastError(), "blend: starting the kernel");
    }
}

template void blend_cuda(const Blend<std::uint8_t, std::uint8_t>&, void*);
template void blend_cuda(const Blend<float, std::uint8_t>&, void*);
template void blend_cuda(const Blend<std::uint8_t, float>&, void*);
template void blend_cuda(const Blend<float, float>&, void*);
template void blend_cuda(const Blend<std::uint8_t, __half>&, void*);
template void blend_cuda(const Blend<float, __half>&, void*);

}  // namespace mien
