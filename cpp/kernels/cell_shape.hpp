// Which cells there are, and what each of them multiplies: known to the kernels, which are compiled
// for it, and to the layers, which lay out weights and memory by it.
#pragma once

#include <cstdint>

namespace lstmcore {

// A group of gates that one fused product computes. Most cells are one group; a GRU whose reset
// gate acts before the product is two, since the second multiplies what the first has made.
enum class CellKernel : std::uint8_t {
  kLstm,
  kRnnTanh,
  kRnnRelu,
  kGru,           // reset after the product
  kGruGates,      // reset before it: r and z
  kGruCandidate,  // and then n
  kLstmVariant,   // an LSTM with options
  kLstmCoupled,   // the same without f, which is 1 - i
  kRnnAny,        // with bounds and activations of their own
  kGruAny,
  kGruGatesAny,
  kGruCandidateAny,
  kLstmSums,  // with layer normalisation, which a second kernel goes on with
};
inline constexpr int kCellKernels = 13;

// G accumulators for each hidden unit, in this order also in the stash. x_t W_ih^T runs into those
// of [input_begin, input_end), h_{t-1} W_hh^T into those of [hidden_begin, hidden_end).
struct CellShape {
  int n_gates;
  int input_begin, input_end;
  int hidden_begin, hidden_end;

  constexpr int n_input() const noexcept { return input_end - input_begin; }
  constexpr int n_hidden() const noexcept { return hidden_end - hidden_begin; }
  // Whether gates can be summed two by two.
  constexpr bool is_even() const noexcept {
    return (n_gates | input_begin | input_end | hidden_begin | hidden_end) % 2 == 0;
  }
  constexpr CellShape of_pairs() const noexcept {
    return {n_gates / 2, input_begin / 2, input_end / 2, hidden_begin / 2, hidden_end / 2};
  }
};

constexpr CellShape cell_shape(CellKernel kernel) noexcept {
  switch (kernel) {
    case CellKernel::kLstm:
    case CellKernel::kLstmVariant:
      return {4, 0, 4, 0, 4};  // i, f, g, o
    case CellKernel::kLstmSums:
      return {8, 0, 4, 4, 8};  // i, f, g, o of the input, then of the hidden state
    case CellKernel::kLstmCoupled:
      return {3, 0, 3, 0, 3};  // i, g, o
    case CellKernel::kGru:
    case CellKernel::kGruAny:
      return {4, 0, 3, 1, 4};  // n of the input, r, z, n of the hidden state
    case CellKernel::kGruGates:
    case CellKernel::kGruGatesAny:
      return {2, 0, 2, 0, 2};  // r, z
    case CellKernel::kRnnTanh:
    case CellKernel::kRnnRelu:
    case CellKernel::kRnnAny:
    case CellKernel::kGruCandidate:
    case CellKernel::kGruCandidateAny:
      return {1, 0, 1, 0, 1};
  }
  return {};
}

}  // namespace lstmcore
