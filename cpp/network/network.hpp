// Embeddings → recurrent stack → pooling → dense head → link: the network behind the estimators.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kernels/dispatch.hpp"
#include "layers/dense.hpp"
#include "layers/embedding.hpp"
#include "network/network_workspace.hpp"

namespace lstmcore {

// A network is its packed weights: parameters live with the caller and are copied in by pack.
template <class Scalar>
class Network {
 public:
  Network(const NetworkSpec& spec, const Kernels& kernels);

  const NetworkSpec& spec() const noexcept { return spec_; }
  const Kernels& kernels() const noexcept { return *kernels_; }
  Index n_parameters() const noexcept { return table_offset() + embeddings_.n_parameters(); }
  const Embeddings<Scalar>& embeddings() const noexcept { return embeddings_; }
  const RecurrentStack<Scalar>& stack() const noexcept { return stack_; }
  Index padded_outputs() const noexcept { return head_.padded_outputs(); }

  // The tables of embeddings, the last of the parameters, are not copied: they are read there until
  // others are.
  void pack(const Scalar* parameters, Workers& workers) noexcept;
  void use_tables(const Scalar* tables) noexcept { embeddings_.use(tables); }
  Index table_offset() const noexcept { return head_offset() + head_.n_parameters(); }

  // Memory for w.batch and that many threads: in inference, with long batches in windows unless
  // something of all steps is wanted; or for the gradient.
  void reserve(NetworkWorkspace<Scalar>& w, int n_threads, bool in_windows = true) const;
  void reserve_for_gradient(NetworkWorkspace<Scalar>& w, const Dropout& dropout, int n_threads,
                            const BpttOptions& bptt = {}) const;

  // The whole batch, from zero initial states: from x to w.scores, and then after_scores(n_begin,
  // n_end) for all sequences. Where w has sequences, x is the place of their packed rows, w.x.
  template <class AfterScores>
  void forward(const Scalar* x, NetworkWorkspace<Scalar>& w, Workers& workers,
               AfterScores&& after_scores) const {
    const auto run = [&](NetworkPart<Scalar>& part, PartMemory<Scalar>& m, Workers& its_workers) {
      forward_part(x, Dropout{}, w, part, m, its_workers, after_scores);
    };
    each_part(w.parts, w.memories, workers, run);
  }
  // The same, where compare(n_begin, n_end) turns the scores of some sequences into w.dscores, and
  // back from there to the gradient of all parameters and to dx (R, I padded to the block), each
  // unless it is null; or to norms.
  template <class Compare>
  void differentiate(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                     Scalar* gradient, Scalar* dx, Workers& workers, Compare&& compare,
                     const GradientNorms* norms = nullptr) const {
    const auto run = [&](NetworkPart<Scalar>& part, PartMemory<Scalar>& m, Workers& its_workers) {
      const Index first = part.batch.first_sequence();
      StackGradients<Scalar>* sums = gradient == nullptr ? nullptr : &part.sums;
      if (sums != nullptr) clear(part, gradient);
      if (!part.windows.empty()) {
        forward_windows(x, dropout, w, part, m, its_workers, last_window_keeps(w));
        each_run(part.batch, its_workers, [&](Index n_begin, Index n_end) {
          score(dropout.of_part(first), w, part, n_begin, n_end);
          compare(first + n_begin, first + n_end);
          backward_head(dropout, w, part, n_begin, n_end);
        });
        backward_windows(x, dropout, w, part, m, its_workers);
        return;
      }
      forward_part(x, dropout, w, part, m, its_workers, [&](Index n_begin, Index n_end) {
        compare(n_begin, n_end);
        backward_head(dropout, w, part, n_begin - first, n_end - first);
        backward_pooling(w, part, m, n_begin - first, n_end - first);
      });
      if (attention_) {
        Scalar* attention_sums = sums == nullptr ? nullptr : part.attention_sums.data();
        attention_->finish_backward(part.batch, top_output(part.batch, m), stack_.rows_of_run(),
                                    m.attention, m.dy.data(), attention_sums, its_workers);
      }
      stack_.backward(part.batch, inputs(x, m), dy(m), dinputs(dx, part), dropout.of_part(first),
                      m.stack, sums, its_workers, norms);
    };
    each_part(w.parts, w.memories, workers, run);
    if (gradient != nullptr) get_gradients(x, w, gradient, workers);
  }

  // Of a batch of sequences of one length: the first steps of the windows that `recompute` makes of
  // its first part, 0 alone where it is done in one go.
  std::vector<Index> recompute_starts(Index n_steps, Index n_sequences) const;

  // Scores of w.batch, or with the link applied predictions, to outputs (N, K).
  void predict(const Scalar* x, bool with_link, int n_threads, NetworkWorkspace<Scalar>& w,
               Scalar* outputs) const;

  // The weights (R) of attention pooling.
  void attention(const Scalar* x, int n_threads, NetworkWorkspace<Scalar>& w,
                 Scalar* weights) const;

  // What predict would put out after one more step: from the hidden states h (N, H) of the top
  // layer after it, the number of steps so far, and what pooling carries along, pooled (N, C).
  Index carried_size() const noexcept;
  void predict_step(const Scalar* h, const Index* n_steps, Index n_sequences, bool with_link,
                    NetworkWorkspace<Scalar>& w, Scalar* pooled, Scalar* outputs) const;

  // More steps of one sequence: hidden states h (n, H) of the top layer into what pooling carries
  // along, pooled (C), after n_steps before them.
  void pool_steps(const Scalar* h, Index n, Index n_steps, NetworkWorkspace<Scalar>& w,
                  Scalar* pooled) const;

  // The gradient (R, I) of the sum of dscores (N, K) times scores with respect to x, without
  // dropout. The network must be one `with_dx`.
  void input_gradient(const Scalar* x, const Scalar* dscores, int n_threads,
                      NetworkWorkspace<Scalar>& w, Scalar* gradient) const;
  // Norms of the gradients of that sum with respect to the states of a layer.
  void state_gradient_norms(const Scalar* x, const Scalar* dscores, int n_threads,
                            NetworkWorkspace<Scalar>& w, const GradientNorms& norms) const;

 private:
  Index width() const noexcept { return stack_.padded_output_size(); }
  Index head_offset() const noexcept {
    return stack_.n_parameters() + (attention_ ? attention_->n_parameters() : Index{0});
  }
  const Scalar* top_output(const PackedBatch& batch, const PartMemory<Scalar>& m) const noexcept {
    return stack_.output(m.stack, batch).data;
  }
  // What the lowest layer reads, and the gradient of it: dx where that of x itself is asked for.
  BatchRows<const Scalar> inputs(const Scalar* x, const PartMemory<Scalar>& m) const noexcept {
    const Index E = embeddings_.output_size();
    if (!embeddings_.any()) return {x, E, true};
    return {m.inputs.data(), E, false};
  }
  BatchRows<Scalar> dinputs(Scalar* dx, NetworkPart<Scalar>& part) const noexcept {
    if (!embeddings_.any()) return {dx, dinputs_stride(), true};
    return {part.dinputs.data(), dinputs_stride(), false};
  }
  Index dinputs_stride() const noexcept {
    return round_up(embeddings_.output_size(), kBlock<Scalar>);
  }
  // The first of these units that reads from the end to the start, or behind them all.
  Index backward_from() const noexcept {
    return spec_.stack.bidirectional ? stack_.output_size() / 2 : width();
  }
  template <class AfterScores>
  void forward_part(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                    NetworkPart<Scalar>& part, PartMemory<Scalar>& m, Workers& workers,
                    AfterScores&& after_scores) const {
    const Index first = part.batch.first_sequence();
    const Dropout its_dropout = dropout.of_part(first);
    if (!part.windows.empty()) {
      forward_windows(x, dropout, w, part, m, workers, false);
      each_run(part.batch, workers, [&](Index n_begin, Index n_end) {
        score(its_dropout, w, part, n_begin, n_end);
        after_scores(first + n_begin, first + n_end);
      });
      return;
    }
    stack_.forward(
        part.batch, inputs(x, m), its_dropout, m.stack, workers,
        [&](Index n_begin, Index n_end) { start(x, w, part, m, n_begin, n_end); },
        [&](Index n_begin, Index n_end) {
          pool(w, part, m, n_begin, n_end);
          score(its_dropout, w, part, n_begin, n_end);
          after_scores(first + n_begin, first + n_end);
        });
  }
  void assign_parts(NetworkWorkspace<Scalar>& w, const std::vector<Index>& bounds, bool keep,
                    bool in_windows, const Dropout& dropout, int n_threads) const;
  // Nothing is added up yet; `gradient` is what get_gradients will be given.
  void clear(NetworkPart<Scalar>& part, Scalar* gradient) const noexcept;

  // Windows over time (network_windows.cpp): the part forward, window after window, to w.pooled;
  // back from w.dpooled to its sums.
  void assign_windows(const BpttOptions& bptt, bool keep, NetworkPart<Scalar>& part) const;
  void reserve_part(const NetworkPart<Scalar>& part, bool keep, const Dropout& dropout,
                    const BpttOptions& bptt, PartMemory<Scalar>& m) const;
  bool last_window_keeps(const NetworkWorkspace<Scalar>& w) const noexcept;
  void forward_windows(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                       const NetworkPart<Scalar>& part, PartMemory<Scalar>& m, Workers& workers,
                       bool last_keeps) const;
  void backward_windows(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                        NetworkPart<Scalar>& part, PartMemory<Scalar>& m, Workers& workers) const;
  BatchRows<const Scalar> window_inputs(const PartMemory<Scalar>& m) const noexcept {
    return {(embeddings_.any() ? m.inputs : m.x).data(), embeddings_.output_size(), false};
  }
  // A window from its states to those after it.
  void forward_window(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                      const NetworkPart<Scalar>& part, const BatchWindow& window, bool keep,
                      bool pools, Scalar* before, Scalar* after, PartMemory<Scalar>& m,
                      Workers& workers) const;
  void backward_window(const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                       NetworkPart<Scalar>& part, const BatchWindow& window, PartMemory<Scalar>& m,
                       Workers& workers) const;
  // For the sequences [n_begin, n_end) of a part: rows of x, where they are not packed; inputs and
  // zero initial states; pooling and head; from w.dscores to the gradients of what the stack put
  // out.
  void pack_rows(NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part, Index n_begin,
                 Index n_end) const noexcept;
  void start(const Scalar* x, NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
             PartMemory<Scalar>& m, Index n_begin, Index n_end) const noexcept;
  void pool(NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part, PartMemory<Scalar>& m,
            Index n_begin, Index n_end) const noexcept;
  void score(const Dropout& dropout, NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
             Index n_begin, Index n_end) const noexcept;
  void backward_head(const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                     const NetworkPart<Scalar>& part, Index n_begin, Index n_end) const noexcept;
  void backward_pooling(NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
                        PartMemory<Scalar>& m, Index n_begin, Index n_end) const noexcept;
  void get_gradients(const Scalar* x, NetworkWorkspace<Scalar>& w, Scalar* gradient,
                     Workers& workers) const;
  void get_table_gradients(const Scalar* x, NetworkWorkspace<Scalar>& w, Scalar* gradient,
                           Workers& workers) const noexcept;
  // The same where the gradient of the scores is given, to dx or norms.
  void differentiate_scores(const Scalar* x, const Scalar* dscores, int n_threads,
                            NetworkWorkspace<Scalar>& w, Scalar* dx,
                            const GradientNorms* norms) const;
  // Whether the gradient of what the stack puts out is that of the last h of the top layer.
  bool has_state_gradient() const noexcept {
    return spec_.pooling == Pooling::kLast && stack_.output_is_h();
  }
  // The gradient of all that the stack puts out, or none where only the last h has one.
  BatchRows<const Scalar> dy(const PartMemory<Scalar>& m) const noexcept {
    return {has_state_gradient() ? nullptr : m.dy.data(), width(), false};
  }

  NetworkSpec spec_;
  const Kernels* kernels_;
  Embeddings<Scalar> embeddings_;
  RecurrentStack<Scalar> stack_;
  std::optional<Attention<Scalar>> attention_;
  Dense<Scalar> head_;
};

}  // namespace lstmcore
