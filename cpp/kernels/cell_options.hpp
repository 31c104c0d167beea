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

template <class Scalar>
struct CellOptions {
  const Scalar* peepholes;  // [block][n][B] of i, f, o, without f where it is coupled; or null
  Scalar gate_clip;         // bound of what goes into activations; may be infinite
  Scalar cell_clip;         // bound of c; may be infinite
  Activation<Scalar> gate, cell, output;
  bool has_plain_activations;  // whether they are sigmoid, tanh, tanh
  bool has_gate_clip;
};

}  // namespace lstmcore
