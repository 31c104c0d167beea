// One LSTM layer over a packed batch: forward, BPTT and weight gradients.
// Hochreiter, Schmidhuber: Long short-term memory (1997); Gers, Schmidhuber, Cummins: Learning to
// forget (2000). Parameters in a flat buffer: W_ih (4H, I), W_hh (4H, H), b (4H), gates i, f, g, o.
#pragma once

#include "base/aligned_buffer.hpp"
#include "base/parallel.hpp"
#include "kernels/kernel_table.hpp"
#include "layers/packed_batch.hpp"

namespace lstmcore {

// What a batch leaves in memory. N sequences, R rows, Hb blocks of B hidden units, Hp = Hb B.
template <class Scalar>
struct LayerWorkspace {
  AlignedBuffer<Scalar> h;  // (N + R, Hp) history: initial states, then every h_t
  AlignedBuffer<Scalar> c;  // [Hb][N + R][B] history; in inference [Hb][N][B], the running state
  AlignedBuffer<Scalar> gates;   // [Hb][R][4][B]; BPTT overwrites it with the gate gradients
  AlignedBuffer<Scalar> tanh_c;  // [Hb][R][B]
  AlignedBuffer<Scalar> dh;      // (N, Hp) gradient of h_n, in the end of h_0
  AlignedBuffer<Scalar> dc;      // [Hb][N][B] gradient of c_n, in the end of c_0
  AlignedBuffer<Scalar> gradient_panels;  // [Hb][I + H + 1][4][B] as the forward panels, then b
  AlignedBuffer<Scalar> starts;           // [Hb][rows][4][B] of forward_together in inference
  bool keeps_history = false;             // whether there is what BPTT needs
};

// The time steps [begin, end).
struct Steps {
  Index begin, end;
};

template <class Scalar>
class RecurrentLayer {
 public:
  static constexpr Index B = kBlock<Scalar>;

  // `with_dx` where backward is asked for dx: packing W_ih for it is spared elsewhere.
  RecurrentLayer(Index input_size, Index hidden_size, bool with_dx,
                 const KernelTable<Scalar>& kernels);

  Index input_size() const noexcept { return input_size_; }
  Index hidden_size() const noexcept { return hidden_size_; }
  Index padded_hidden_size() const noexcept { return n_blocks_ * B; }
  Index n_parameters() const noexcept {
    return 4 * hidden_size_ * (input_size_ + hidden_size_ + 1);
  }

  // Copies parameters into the panels that the kernels read.
  void reserve_panels();
  void pack(const Scalar* parameters, Workers& workers) noexcept;

  // Memory for a batch; `keep` for BPTT.
  void reserve(LayerWorkspace<Scalar>& w, const PackedBatch& batch, bool keep) const;
  void reserve_gradients(LayerWorkspace<Scalar>& w, const PackedBatch& batch) const;

  // States between user layout (N, H) and workspace; null means zeros.
  void set_initial_state(LayerWorkspace<Scalar>& w, const PackedBatch& batch, const Scalar* h0,
                         const Scalar* c0, Index n_begin, Index n_end) const noexcept;
  void get_final_state(const LayerWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* h_n,
                       Scalar* c_n) const noexcept;
  void set_state_gradient(LayerWorkspace<Scalar>& w, const PackedBatch& batch, const Scalar* dh_n,
                          const Scalar* dc_n, Index n_begin, Index n_end) const noexcept;
  void get_state_gradient(const LayerWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* dh_0,
                          Scalar* dc_0) const noexcept;

  // Copies for whoever looks inside, before BPTT: gates (R, 4, H) and cell states (R, H).
  void get_gates(const LayerWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* gates,
                 Scalar* c) const noexcept;

  // All time steps of the sequences [n_begin, n_end). x (R, I) with row stride x_stride.
  void forward(const PackedBatch& batch, const Scalar* x, Index x_stride, LayerWorkspace<Scalar>& w,
               Index n_begin, Index n_end) const noexcept;
  // BPTT goes from the end to the beginning in runs of steps, and after each run takes what its
  // gate gradients add to the gradient of the parameters, while they are in cache. The run that
  // ends before step t_end depends on the batch alone, and so does the order of every sum.
  Steps steps_before(const PackedBatch& batch, Index t_end) const noexcept;
  // dy (R, Hp) or null; dx (R, I padded to B) is written unless null.
  void backward(const PackedBatch& batch, Steps steps, const Scalar* dy, Scalar* dx,
                LayerWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  void clear_gradients(LayerWorkspace<Scalar>& w, Workers& workers) const noexcept;
  // Adds, for each parameter, one sum over the rows of these steps in ascending order.
  void accumulate_gradients(const PackedBatch& batch, Steps steps, const Scalar* x, Index x_stride,
                            LayerWorkspace<Scalar>& w, Workers& workers) const noexcept;
  void get_gradients(const LayerWorkspace<Scalar>& w, Scalar* gradient,
                     Workers& workers) const noexcept;

  // Forward and backward for the whole batch, all workers on one step at a time, each with some of
  // the hidden units: for few sequences, and for weights that no thread can keep in its own cache.
  void forward_together(const PackedBatch& batch, const Scalar* x, Index x_stride,
                        LayerWorkspace<Scalar>& w, Workers& workers) const;
  void backward_together(const PackedBatch& batch, Steps steps, const Scalar* dy, Scalar* dx,
                         LayerWorkspace<Scalar>& w, Workers& workers) const noexcept;

  // h_t of all rows (R, Hp).
  const Scalar* output(const LayerWorkspace<Scalar>& w, const PackedBatch& batch) const noexcept {
    return w.h.data() + batch.n_sequences() * padded_hidden_size();
  }

 private:
  // Rows whose inputs forward_together multiplies at once: their sums stay in the cache.
  static constexpr Index kRowsTogether = 96;

  // One step of the sequences [n_begin, n_end): where everything is, for all blocks.
  CellForward<Scalar> forward_step(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t,
                                   Index n_begin, Index n_end) const noexcept;
  CellBackward<Scalar> backward_step(const PackedBatch& batch, const Scalar* dy,
                                     LayerWorkspace<Scalar>& w, Index t, Index n_begin,
                                     Index n_end) const noexcept;
  // How many hidden blocks of a step with that many rows a second thread should at least get.
  Index blocks_worth_a_thread(Index rows) const noexcept;
  // A product of `rows` rows of gate gradients with backward panels.
  PanelGemm<Scalar> gates_product(const PackedBatch& batch, const LayerWorkspace<Scalar>& w,
                                  Index row, Index rows) const noexcept;
  // dh_{t-1} of the hidden blocks [block_begin, block_end), the first a multiple of 4; dx of rows.
  void hidden_gradient(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t, Index n_begin,
                       Index n_end, Index block_begin, Index block_end) const noexcept;
  void input_gradient(const PackedBatch& batch, const LayerWorkspace<Scalar>& w, Index row,
                      Index rows, Scalar* dx) const noexcept;

  // The length of k in a forward panel. Gradient panels have one column more, for the bias.
  Index panel_rows() const noexcept { return input_size_ + hidden_size_; }
  Index cell_stride(const LayerWorkspace<Scalar>& w, const PackedBatch& batch) const noexcept {
    return (w.keeps_history ? batch.n_history_rows() : batch.n_sequences()) * B;
  }
  void pack_block(const Scalar* parameters, Index block) noexcept;
  // The same for the columns [begin, end) of the gradient panels [block_begin, block_end).
  void accumulate_panels(const PackedBatch& batch, Steps steps, const Scalar* x, Index x_stride,
                         LayerWorkspace<Scalar>& w, Index block_begin, Index block_end, Index begin,
                         Index end) const noexcept;
  void unpack_gradient(const LayerWorkspace<Scalar>& w, Index block,
                       Scalar* gradient) const noexcept;

  Index input_size_;
  Index hidden_size_;
  Index n_blocks_;
  Index n_input_blocks_;
  bool with_dx_;
  const KernelTable<Scalar>* kernels_;
  AlignedBuffer<Scalar> forward_panels_;  // [block][I + H][4][B]
  AlignedBuffer<Scalar> bias_;            // [block][4][B]
  AlignedBuffer<Scalar> dh_panels_;       // W_hh as panel_gemm wants it, k = [block][4][B]
  AlignedBuffer<Scalar> dx_panels_;       // W_ih likewise
};

}  // namespace lstmcore
