#include "layers/embedding.hpp"

#include <stdexcept>
#include <string>

namespace lstmcore {
namespace {

void require_valid(Index n_columns, const EmbeddingSpec& spec, Index first) {
  if (spec.column < first || spec.column >= n_columns) {
    throw std::invalid_argument("the column of an embedding is " + std::to_string(spec.column) +
                                ", expected ascending numbers from 0 to " +
                                std::to_string(n_columns - 1));
  }
  constexpr Index kMost = 2147483647;
  if (spec.n_tokens < 1 || spec.size < 1 || std::max(spec.n_tokens, spec.size) > kMost) {
    throw std::invalid_argument("an embedding has " + std::to_string(spec.n_tokens) +
                                " tokens of size " + std::to_string(spec.size) +
                                ", expected from 1 to " + std::to_string(kMost));
  }
}

}  // namespace

template <class Scalar>
Embeddings<Scalar>::Embeddings(Index n_columns, const std::vector<EmbeddingSpec>& specs)
    : n_columns_(n_columns) {
  Index done = 0;  // columns of x
  const auto copy_until = [&](Index column) {
    if (column > done) copies_.push_back({done, output_size_, column - done});
    output_size_ += column - done;
    done = column;
  };
  for (const EmbeddingSpec& spec : specs) {
    require_valid(n_columns, spec, done);
    copy_until(spec.column);
    tables_.push_back({{spec.column, output_size_, spec.size}, spec.n_tokens, n_parameters_});
    output_size_ += spec.size;
    n_parameters_ += checked_product(spec.n_tokens, spec.size);
    done = spec.column + 1;
  }
  copy_until(n_columns);
}

template <class Scalar>
BadToken Embeddings<Scalar>::find_bad_token(const Scalar* x, Index n_rows) const noexcept {
  for (Index r = 0; r < n_rows; ++r) {
    for (const Table& table : tables_) {
      const Scalar value = x[r * n_columns_ + table.piece.column];
      const bool inside = value >= 0 && value < static_cast<Scalar>(table.n_tokens);
      if (!inside || static_cast<Scalar>(static_cast<Index>(value)) != value) {
        return {r, table.piece.column};
      }
    }
  }
  return {-1, -1};
}

template <class Scalar>
void Embeddings<Scalar>::embed(const Scalar* x, Index n_rows, Scalar* inputs) const noexcept {
  for (Index r = 0; r < n_rows; ++r) {
    const Scalar* from = x + r * n_columns_;
    Scalar* to = inputs + r * output_size_;
    for (const Piece& piece : copies_) std::copy_n(from + piece.column, piece.size, to + piece.to);
    for (const Table& table : tables_) {
      std::copy_n(parameters_ + table.row_of(from[table.piece.column]), table.piece.size,
                  to + table.piece.to);
    }
  }
}

template <class Scalar>
void Embeddings<Scalar>::embed_part(const Scalar* x, const PackedBatch& part, Index n_begin,
                                    Index n_end, Scalar* inputs) const noexcept {
  for (Index t = 0; t < part.n_steps(); ++t) {
    const Index end = std::min(n_end, part.n_active(t));
    if (end <= n_begin) break;
    embed(x + (part.whole_row(t) + n_begin) * n_columns_, end - n_begin,
          inputs + (part.offset(t) + n_begin) * output_size_);
  }
}

template <class Scalar>
void Embeddings<Scalar>::add_gradient(const Scalar* x, const PackedBatch& part,
                                      const Scalar* dinputs, Index stride, Index begin, Index end,
                                      Scalar* gradient) const noexcept {
  for (const Table& table : tables_) {
    const Index last = std::min(end, table.piece.size);
    for (Index t = 0; t < part.n_steps(); ++t) {
      for (Index n = 0; n < part.n_active(t); ++n) {
        const Scalar value = x[(part.whole_row(t) + n) * n_columns_ + table.piece.column];
        const Scalar* from = dinputs + (part.offset(t) + n) * stride + table.piece.to;
        Scalar* to = gradient + table.row_of(value);
        for (Index j = begin; j < last; ++j) to[j] += from[j];
      }
    }
  }
}

template <class Scalar>
Index Embeddings<Scalar>::largest_size() const noexcept {
  Index largest = 0;
  for (const Table& table : tables_) largest = std::max(largest, table.piece.size);
  return largest;
}

template class Embeddings<float>;
template class Embeddings<double>;

}  // namespace lstmcore
