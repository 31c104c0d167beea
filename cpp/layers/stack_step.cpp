#include "layers/stack_step.hpp"

#include <algorithm>
#include <functional>

#include "base/floating_point_mode.hpp"

namespace lstmcore {
namespace {

// How many threads a step of N sequences is worth.
template <class Scalar>
int threads_of_step(const RecurrentLayer<Scalar>& layer, Index n_sequences,
                    int n_threads) noexcept {
  // Multiply-adds. On 2 cores of a Zen 4 (2026-11), microseconds of a step of one sequence by one
  // thread and by two, called from C++: I = H = 128 4.9 and 2.9, 256 21.5 and 10.7, 512 87 and 45;
  // what is shared costs half a microsecond. Smaller layers are not worth a processor.
  constexpr double kWorthAThread = 65536;
  const double work = layer.cell().multiply_adds(layer.input_size(), layer.hidden_size()) *
                      static_cast<double>(n_sequences);
  if (!layer.can_share_step()) return 1;
  const auto blocks = static_cast<int>(layer.n_blocks());
  const int most = std::min({n_threads, blocks, StandbyTeam::kMost + 1});
  return work / kWorthAThread < most ? std::max(1, static_cast<int>(work / kWorthAThread)) : most;
}

// Whether the weights are too large to stay in a core's own cache until the next step. A step is
// then worth waking threads for: calls a millisecond apart are 1.1 to 1.2 times as fast for it at
// I = H = 256, 1.5 to 1.8 times at 512, 1.8 to 2.3 times at 1024. And worth turning at each step:
// one thread alone is 1.2 times as fast for it at 256, 1.6 times at 320, 1.3 at 384 and 1.1 at 512,
// while calls for one block after the other cost .2 microseconds at 64 (2 cores of a Xeon with 2
// MiB second caches, 2026-11).
template <class Scalar>
bool outgrows_cache(const RecurrentStack<Scalar>& stack) noexcept {
  return stack.weight_bytes() > static_cast<double>(kBeyondOwnCache);
}

// Asks for the lines of what is about to be written, all at once: another core has them.
template <class Scalar>
void claim_lines(const Scalar* data, Index size) noexcept {
  for (Index i = 0; i < size; i += kBlock<Scalar>) __builtin_prefetch(data + i, 1);
}

}  // namespace

template <class Scalar>
void StackStep<Scalar>::prepare(Share& share, const RecurrentLayer<Scalar>& layer,
                                Index n_sequences, Index block_begin, Index block_end,
                                const Scalar* h, const Scalar* c) {
  if (share.layer == nullptr || share.batch.n_sequences() != n_sequences ||
      share.block_begin != block_begin || share.block_end != block_end) {
    share.batch.assign(&n_sequences, 1, n_sequences);
    share.layer = &layer;
    share.block_begin = block_begin;
    share.block_end = block_end;
    layer.reserve(share.memory, share.batch, ForwardPlan{}, false);
    share.x.reserve(n_sequences * layer.input_size());
  }
  layer.set_initial_state(share.memory, share.batch, h, c, 0, n_sequences);
}

template <class Scalar>
void StackStep<Scalar>::work(Share& share, const Scalar* x) noexcept {
  share.layer->step(share.batch, x, share.memory, share.block_begin, share.block_end,
                    share.descending);
  share.descending = share.turns && !share.descending;
}

template <class Scalar>
void StackStep<Scalar>::run_layer(const RecurrentLayer<Scalar>& layer, Index n_sequences,
                                  const Scalar* x, const Scalar* h, const Scalar* c, Scalar* h_out,
                                  Scalar* c_out, Shares& shares, StandbyTeam& team) {
  const Index n_blocks = layer.n_blocks();
  const Index n_shares = layer.can_share_step() ? team.size() + 1 : 1;
  bool offered[StandbyTeam::kMost + 1] = {};
  for (Index i = 1; i < n_shares; ++i) {
    Share& share = *shares[static_cast<std::size_t>(i)];
    StandbyThread& thread = team[static_cast<int>(i) - 1];
    if (!thread.free()) continue;
    const Index size = n_sequences * layer.input_size();
    claim_lines(share.x.data(), share.x.capacity());
    claim_lines(share.memory.h.data(), n_sequences * layer.padded_hidden_size());
    claim_lines(share.memory.c.data(), share.memory.c.capacity());
    prepare(share, layer, n_sequences, n_blocks * i / n_shares, n_blocks * (i + 1) / n_shares, h,
            c);
    std::copy_n(x, size, share.x.data());
    offered[i] = thread.offer(
        [](void* context) noexcept {
          auto& its = *static_cast<Share*>(context);
          claim_lines(its.layer->output(its.memory, its.batch) + its.block_begin * kBlock<Scalar>,
                      (its.block_end - its.block_begin) * kBlock<Scalar>);
          work(its, its.x.data());
        },
        &share);
  }
  Share& own = *shares.front();
  prepare(own, layer, n_sequences, 0, n_blocks / n_shares, h, c);
  if (n_shares == 1 && !(own.turns && layer.can_share_step())) {
    layer.forward(own.batch, {x, layer.input_size(), true}, own.memory, 0, n_sequences);
    layer.get_final_state(own.memory, own.batch, h_out, c_out);
    return;
  }
  const auto begin = StandbyThread::Clock::now();
  work(own, x);
  const auto patience = (StandbyThread::Clock::now() - begin) / 2;
  bool done[StandbyTeam::kMost + 1] = {};
  for (Index i = 1; i < n_shares; ++i) {
    using Outcome = StandbyThread::Outcome;
    StandbyThread& thread = team[static_cast<int>(i) - 1];
    Outcome outcome = offered[i] ? thread.outcome(patience) : Outcome::kNotBegun;
    // What is late is done here too, block by block, until it is done there: where its processor
    // was taken away, that costs a share at most. The 99th percentile of a step of I = H = 256 is
    // 50 microseconds instead of 80 with all of the patience and none of this (2 cores of a Xeon,
    // 2026-11); a quarter of the patience, or an eighth, is as good as half of it.
    for (Index b = n_blocks * i / n_shares;
         b < n_blocks * (i + 1) / n_shares && outcome != Outcome::kDone; ++b) {
      layer.step(own.batch, x, own.memory, b, b + 1, false);
      if (outcome == Outcome::kLate) outcome = thread.outcome({});
    }
    done[i] = outcome == Outcome::kDone;
  }
  // Only now: x may be a view of what the step before put out, and so of h_out.
  for (Index i = 0; i < n_shares; ++i) {
    const Share& share = done[i] ? *shares[static_cast<std::size_t>(i)] : own;
    layer.get_stepped_state(share.memory, share.batch, n_blocks * i / n_shares,
                            n_blocks * (i + 1) / n_shares, h_out, c_out);
  }
}

template <class Scalar>
void StackStep<Scalar>::run(const RecurrentStack<Scalar>& stack, Index n_sequences, const Scalar* x,
                            const Scalar* h, const Scalar* c, Scalar* h_out, Scalar* c_out,
                            Scalar* y, int n_threads) {
  const FlushDenormals mode;
  const Index n_layers = stack.n_layers();
  const RecurrentLayer<Scalar>& top = stack.layer(n_layers - 1);
  const bool large = outgrows_cache(stack);
  StandbyTeam team(threads_of_step(top, n_sequences, n_threads) - 1, large);
  layers_.resize(static_cast<std::size_t>(n_layers));
  for (Shares& shares : layers_) {
    while (shares.size() <= static_cast<std::size_t>(team.size())) {
      shares.push_back(std::make_unique<Share>());
      shares.back()->turns = large;
    }
  }
  const Index size_h = n_sequences * top.output_size();
  const Index size_c = n_sequences * top.hidden_size();
  for (Index l = 0; l < n_layers; ++l) {
    run_layer(stack.layer(l), n_sequences, x, h, c, h_out, c_out,
              layers_[static_cast<std::size_t>(l)], team);
    if (l > 0 && stack.spec().residual) {
      Scalar* sums = l + 1 == n_layers ? y : y_.reserve(size_h);
      std::transform(x, x + size_h, h_out, sums, std::plus<Scalar>{});
      x = sums;
    } else {
      x = h_out;
    }
    h += size_h;
    h_out += size_h;
    if (c == nullptr) continue;
    c += size_c;
    c_out += size_c;
  }
}

template class StackStep<float>;
template class StackStep<double>;

}  // namespace lstmcore
