// crop on a CUDA device: one thread for each pixel of each crop, up to 32 crops in a launch.
#include <cuda_fp16.h>

#include "crop.hpp"
#include "cuda_check.hpp"

namespace mien {
namespace {

constexpr int kMostCrops = 32;

// Passed by value: kernel arguments may take 4 KB.
struct CropViews {
    CropView view[kMostCrops];
};

template <class Out>
__global__ void crop_threads(Out* out, Grid crop, const std::uint8_t* frame, Format format, CropViews views) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= crop.width || y >= crop.height) return;
    const long long size = 3LL * crop.width * crop.height;
    crop_pixel(out + blockIdx.z * size, crop, frame, format, views.view[blockIdx.z], x, y);
}

}  // namespace

template <class Out>
void crop_cuda(const Crop<Out>& job, void* stream) {
    const Grid crop = job.crop_grid;
    const long long size = 3LL * crop.width * crop.height;
    for (int first = 0; first < job.count; first += kMostCrops) {
        const int count = std::min(kMostCrops, job.count - first);
        CropViews views{};
        for (int i = 0; i < count; ++i)
            views.view[i] = crop_view(job.to_frame[first + i], crop, job.format.grid, job.black);
        const dim3 block(32, 8), blocks((crop.width + 31) / 32, (crop.height + 7) / 8, count);
        crop_threads<<<blocks, block, 0, static_cast<cudaStream_t>(stream)>>>(job.out + first * size, crop, job.frame,
                                                                              job.format, views);
        cuda_check(cudaGetLastError(), "crop: starting the kernel");
    }
}

template void crop_cuda(const Crop<float>&, void*);
template void crop_cuda(const Crop<__half>&, void*);

}  // namespace mien
