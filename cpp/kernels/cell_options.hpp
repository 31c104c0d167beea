// What a cell may have beside the plain one: its options as the kernels read them.
#pragma once

#include <cstdint>

#include "base/index.hpp"

namespace lstmcore {

// The activations of the ONNX operators; alpha and beta are those of an Activation.
enum class ActivationKind : std::uint8_t {
  kSigmoid,
  kTanh,
  kRelu,             // max(0, z)
  kHardSigmoid,      // alpha z + beta, kept within 0 and 1
  kLeakyRelu,        // z, and alpha z where z < 0
  kScaledTanh,       // alpha tanh(beta z)
  kAffine,           // alpha z + beta
  kThresholdedRelu,  // z where z > alpha, else 0
  kElu,              // z, and alpha (e^z - 1) where z < 0
  kSoftsign,         // z / (1 + |z|)
  kSoftplus,         // log(1 + e^z)
};

template <class Scalar>
struct Activation {
  ActivationKind kind;
  Scalar alpha, beta;
  // Its values where the bound gate_clip stops what goes in; infinite without a bound.
  Scalar low, high;
};

// Layer normalisation: what is added to variances; what stands in a block of CellOptions::norm, and
// in that of a row in the stash.
inline constexpr double kNormEpsilon = 1e-5;
inline constexpr Index kGainX = 4;  // of four gates each, after their biases
inline constexpr Index kGainH = 8;
inline constexpr Index kGainC = 12;
inline constexpr Index kBiasC = 13;
inline constexpr Index kNormParameters = 14;
inline constexpr Index kReal = 14;  // 1 for units, 0 for the padding behind
inline constexpr Index kNormWeights = 15;
inline constexpr Index kNormedC = 8;   // N(c), after N of the gates' two products
inline constexpr Index kGradient = 9;  // of the gates' sums z, in BPTT
inline constexpr Index kGradientC = 13;
inline constexpr Index kNormed = 14;

template <class Scalar>
struct CellOptions {
  const Scalar* peepholes;  // [block][n][B] of i, f, o, without f where it is coupled; or null
  Scalar gate_clip;         // bound of what goes into activations; may be infinite
  Scalar cell_clip;         // bound of c; may be infinite
  Scalar zoneout_cell;      // the probability that a unit of c stays what it was
  Activation<Scalar> gate, cell, output;
  bool has_plain_activations;  // whether they are sigmoid, tanh, tanh
  bool has_gate_clip;
  const Scalar* norm;  // [block][kNormWeights][B], or null
  Index n_units;
};

}  // namespace lstmcore
