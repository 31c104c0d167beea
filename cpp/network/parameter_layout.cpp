#include "network/parameter_layout.hpp"

#include <stdexcept>

namespace lstmcore {
namespace {

void require_positive(const char* name, Index value) {
  if (value < 1) {
    throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) +
                                ", expected at least 1");
  }
}

constexpr Index kMostParameters =
    std::numeric_limits<Index>::max() / static_cast<Index>(sizeof(double));

constexpr Index kMostGates = 4;

[[noreturn]] void refuse_size() {
  throw std::length_error(
      "input_size, hidden_sizes and n_outputs ask for more parameters than memory can hold");
}

class Layout {
 public:
  void add(std::string name, std::vector<Index> shape) {
    Index size = 1;
    for (const Index n : shape) {
      if (n > (kMostParameters - offset_) / size) refuse_size();
      size *= n;
    }
    entries_.push_back({std::move(name), std::move(shape), offset_});
    offset_ += size;
  }
  std::vector<ParameterEntry> entries() && { return std::move(entries_); }

 private:
  std::vector<ParameterEntry> entries_;
  Index offset_ = 0;
};

Layout layers_of(const StackSpec& spec) {
  require_positive("input_size", spec.input_size);
  if (spec.hidden_sizes.empty())
    throw std::invalid_argument("hidden_sizes is empty, expected one size per layer");
  Layout layout;
  for (Index level = 0; level < spec.n_levels(); ++level) {
    const Index H = spec.hidden_sizes[static_cast<std::size_t>(level)];
    require_positive("hidden_sizes", H);
    if (H > kMostParameters / kMostGates) refuse_size();
    for (Index direction = 0; direction < spec.n_directions(); ++direction) {
      const std::string suffix = "_l" + std::to_string(level) + (direction == 0 ? "" : "_reverse");
      for (ParameterArray& array : cell_arrays(spec.cell, spec.input_size_of(level), H)) {
        layout.add(array.name + suffix, std::move(array.shape));
      }
    }
    if (spec.residual && level > 0 && spec.output_size(level) != spec.input_size_of(level)) {
      throw std::invalid_argument(
          "hidden_sizes[" + std::to_string(level) + "] is " + std::to_string(H) +
          ", hidden_sizes[" + std::to_string(level - 1) + "] is " +
          std::to_string(spec.hidden_sizes[static_cast<std::size_t>(level - 1)]) +
          ": with residual=True all must be equal, as what a layer reads "
          "is added to what it puts out");
    }
  }
  return layout;
}

}  // namespace

std::vector<ParameterEntry> stack_layout(const StackSpec& spec) {
  return layers_of(spec).entries();
}

std::vector<ParameterEntry> network_layout(const NetworkSpec& spec) {
  const Embeddings<float> embeddings(spec.n_columns(), spec.embeddings);  // checks them
  Layout layout = layers_of(spec.stack);
  require_positive("n_outputs", spec.n_outputs);
  const Index H = spec.stack.output_size(spec.stack.n_levels() - 1);
  if (spec.pooling == Pooling::kAttention) {
    layout.add("attention_weight", {H, H});
    layout.add("attention_bias", {H});
    layout.add("attention_query", {H});
  }
  layout.add("head_weight", {spec.n_outputs, H});
  layout.add("head_bias", {spec.n_outputs});
  for (const EmbeddingSpec& each : spec.embeddings) {
    layout.add("embedding_weight_" + std::to_string(each.column), {each.n_tokens, each.size});
  }
  return std::move(layout).entries();
}

}  // namespace lstmcore
