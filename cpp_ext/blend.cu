// blend on a CUDA device: one thread for each pixel of the patch's bounding box.
#include "blend.hpp"
#include "cuda_check.hpp"

namespace mien {
namespace {

template <class Mask>
__global__ void blend_pixels(Blend<Mask> job, Affine<float> to_patch, Bounds bounds) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= bounds.x.size() || j >= bounds.y.size()) return;
    const float px = to_patch.x(i, j), py = to_patch.y(i, j);
    if (!inside(px, py, job.patch_grid)) return;
    const Taps taps = taps_at(px, py, job.patch_grid);
    const float weight = clamped(sampled(job.mask, taps, job.patch_grid) * mask_unit(job.mask), 1.0f) *
                         ramp(px, py, job.patch_grid, job.feather);
    if (!(weight > 0.0f)) return;
    const long long at = 3 * (static_cast<long long>(bounds.y.first + j) * job.frame_grid.width + bounds.x.first + i);
    for (int c = 0; c < 3; ++c) {
        const float colour = sampled(job.patch + c, taps, job.patch_grid, 3);
        job.out[at + c] = to_byte(blended(static_cast<float>(job.frame[at + c]), colour, weight));
    }
}

}  // namespace

template <class Mask>
void blend_cuda(const Blend<Mask>& job, void* stream) {
    const auto queue = static_cast<cudaStream_t>(stream);
    const size_t bytes = size_t{3} * job.frame_grid.width * job.frame_grid.height;
    if (job.out != job.frame)
        cuda_check(cudaMemcpyAsync(job.out, job.frame, bytes, cudaMemcpyDeviceToDevice, queue),
                   "blend: copying the frame");
    const Bounds bounds = frame_bounds(job.to_patch, job.box(), job.frame_grid);
    if (bounds.pixels() == 0) return;
    const dim3 block(32, 8), blocks((bounds.x.size() + 31) / 32, (bounds.y.size() + 7) / 8);
    blend_pixels<<<blocks, block, 0, queue>>>(job, from_pixel(job.to_patch, bounds.x.first, bounds.y.first), bounds);
    cuda_check(cudaGetLastError(), "blend: starting the kernel");
}

template void blend_cuda(const Blend<std::uint8_t>&, void*);
template void blend_cuda(const Blend<float>&, void*);

}  // namespace mien
