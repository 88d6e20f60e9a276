// CUDA graphs through the runtime API, on the handles of streams that others made.
#include "graph.hpp"

#include "cuda_check.hpp"

namespace mien {

void begin_capture(void* stream) {
    // Thread-local: what other threads do with CUDA meanwhile is not our affair.
    cuda_check(cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeThreadLocal),
               "begin_capture: cudaStreamBeginCapture");
}

void discard_capture(void* stream) noexcept {
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();  // the capture's own error would be taken for one of the next call
}

Graph::Graph(void* stream) {
    cudaGraph_t graph = nullptr;
    cuda_check(cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph), "end_capture: cudaStreamEndCapture");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    cuda_check(status, "end_capture: cudaGraphInstantiate");
    executable_ = executable;
}

Graph::~Graph() {
    if (executable_) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_));
}

void Graph::launch(void* stream) const {
    cuda_check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable_), static_cast<cudaStream_t>(stream)),
               "Graph.launch: cudaGraphLaunch");
}

}  // namespace mien
