// A CUDA graph: what was queued on a stream while it was captured, to be launched again as a whole.
#pragma once

#include <memory>

namespace mien {

// Begins to record what is queued on the stream (a cudaStream_t, not the default one) by this thread.
void begin_capture(void* stream);

// Ends a capture that failed half way, and forgets what was recorded; the stream can be used again.
void discard_capture(void* stream) noexcept;

class Graph {
  public:
    // Ends the capture.
    explicit Graph(void* stream);
    ~Graph();
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;

    // Queues the whole; nothing is waited for. The memory that was used while recording has to be there still.
    void launch(void* stream) const;

  private:
    void* executable_ = nullptr;  // a cudaGraphExec_t
};

}  // namespace mien
