// warp_blend on a CUDA device: one thread for each pixel of the crop's bounding box.
#include "cuda_check.hpp"
#include "warp_blend.hpp"

namespace mien {
namespace {

__global__ void warp_blend_pixels(WarpBlend job, Affine<float> to_crop, Affine<float> flow_to_source, Bounds bounds) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= bounds.x.size() || j >= bounds.y.size()) return;
    const float px = to_crop.x(i, j), py = to_crop.y(i, j);
    const Grid crop = job.crop_grid, flow = job.flow_grid;
    if (!inside(px, py, crop)) return;
    const Taps taps = taps_at(px, py, crop);
    const float weight = clamped(sampled(job.mask, taps, crop), 1.0f);
    if (!(weight > 0.0f)) return;

    const Taps flow_taps = taps_at(px * (static_cast<float>(flow.width) / static_cast<float>(crop.width)),
                                   py * (static_cast<float>(flow.height) / static_cast<float>(crop.height)), flow);
    const float dx = sampled(job.flow, flow_taps, flow);
    const float dy = sampled(job.flow + static_cast<long long>(flow.width) * flow.height, flow_taps, flow);
    const int x = bounds.x.first + i, y = bounds.y.first + j;
    const Taps source_taps = taps_at(static_cast<float>(x) + flow_to_source.x(dx, dy),
                                     static_cast<float>(y) + flow_to_source.y(dx, dy), job.source_grid);
    const float of_source = share_with_flow(share(sampled(job.visible, taps, crop)), dx, dy);
    const long long plane = static_cast<long long>(crop.width) * crop.height;
    const long long at = 3 * (static_cast<long long>(y) * job.source_grid.width + x);
    for (int c = 0; c < 3; ++c) {
        const float warped = sampled(job.source + c, source_taps, job.source_grid, 3);
        const float paint = 255.0f * sampled(job.paint + c * plane, taps, crop);
        const float colour = composed(warped, paint, of_source);
        job.out[at + c] = to_byte(blended(static_cast<float>(job.source[at + c]), colour, weight));
    }
}

}  // namespace

void warp_blend_cuda(const WarpBlend& job, void* stream) {
    const auto queue = static_cast<cudaStream_t>(stream);
    const size_t bytes = size_t{3} * job.source_grid.width * job.source_grid.height;
    cuda_check(cudaMemcpyAsync(job.out, job.source, bytes, cudaMemcpyDeviceToDevice, queue),
               "warp_blend: copying the source");
    const Bounds bounds = frame_bounds(job.to_crop, job.box(), job.source_grid);
    if (bounds.pixels() == 0) return;
    const dim3 block(32, 8), blocks((bounds.x.size() + 31) / 32, (bounds.y.size() + 7) / 8);
    warp_blend_pixels<<<blocks, block, 0, queue>>>(job, from_pixel(job.to_crop, bounds.x.first, bounds.y.first),
                                                   job.flow_to_source(), bounds);
    cuda_check(cudaGetLastError(), "warp_blend: starting the kernel");
}

}  // namespace mien
