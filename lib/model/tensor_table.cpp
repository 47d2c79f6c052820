#include "model/tensor_table.h"

#include <charconv>
#include <cinttypes>
#include <string>
#include <string_view>

namespace puna::core {

namespace {

class TensorFinder {
  public:
    TensorFinder(std::span<const GgufHeader> headers, const Family& family,
                 const HyperParameters& hyper)
        : headers_(headers), family_(family), hyper_(hyper) {
        for (const GgufHeader& header : headers) used_.emplace_back(header.tensors().size());
    }

    Result<std::vector<FoundTensor>> run() {
        PUNA_TRY(find_rows(false, -1));
        for (int32_t layer = 0; layer < hyper_.n_layer; ++layer) PUNA_TRY(find_rows(true, layer));
        PUNA_TRY(refuse_unknown());
        return std::move(found_);
    }

  private:
    Status find_rows(bool per_layer, int32_t layer) {
        for (const TensorRow& row : family_.tensors) {
            if (row.per_layer == per_layer) PUNA_TRY(find_one(row, layer));
        }
        return {};
    }

    Status find_one(const TensorRow& row, int32_t layer);
    Status check(const FoundTensor& found) const;
    Status check_shape(const FoundTensor& found) const;
    Status check_type(const FoundTensor& found) const;
    Status refuse_unknown() const;
    bool is_ignored(std::string_view name) const;

    // A failure that names the file and the tensor.
    Status error(const FoundTensor& found, const Status& status) const {
        const std::string place = "tensor '" + std::string(found.tensor->name) + "'";
        return status.within(place.c_str()).within(headers_[found.source].name().c_str());
    }

    std::span<const GgufHeader> headers_;
    const Family& family_;
    const HyperParameters& hyper_;
    std::vector<std::vector<bool>> used_;  // per header and tensor
    std::vector<FoundTensor> found_;
};

Status TensorFinder::find_one(const TensorRow& row, int32_t layer) {
    const std::string name =
        row.per_layer ? "blk." + std::to_string(layer) + "." + row.name : row.name;
    FoundTensor found{&row, layer, 0, nullptr};
    for (size_t i = 0; i < headers_.size(); ++i) {
        const GgufTensor* tensor = headers_[i].find_tensor(name);
        if (tensor == nullptr) continue;
        if (found.tensor != nullptr) {
            return make_status(PUNA_ERROR_MODEL, "tensor '%s' stands in %s too", name.c_str(),
                               headers_[found.source].name().c_str())
                .within(headers_[i].name().c_str());
        }
        found.source = i;
        found.tensor = tensor;
        used_[i][static_cast<size_t>(tensor - headers_[i].tensors().data())] = true;
    }
    if (found.tensor == nullptr) {
        if (row.optional) return {};
        return make_status(PUNA_ERROR_MODEL, "tensor '%s' is missing", name.c_str())
            .within(headers_.front().name().c_str());
    }
    const Status status = check(found);
    if (!status.ok()) return error(found, status);
    found_.push_back(found);
    return {};
}

Status TensorFinder::check(const FoundTensor& found) const {
    PUNA_TRY(check_shape(found));
    return check_type(found);
}

Status TensorFinder::check_shape(const FoundTensor& found) const {
    const auto& ne = found.tensor->ne;
    const auto columns = static_cast<uint64_t>(dim_size(hyper_, found.row->columns));
    const auto rows = static_cast<uint64_t>(dim_size(hyper_, found.row->rows));
    if (ne[0] == columns && ne[1] == rows && ne[2] == 1 && ne[3] == 1) return {};
    return make_status(PUNA_ERROR_MODEL,
                       "has the shape [%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
                       "]; [%" PRIu64 ", %" PRIu64 "] is wanted",
                       ne[0], ne[1], ne[2], ne[3], columns, rows);
}

Status TensorFinder::check_type(const FoundTensor& found) const {
    const BlockFormat format = found.tensor->format;
    const char* name = block_format_name(format);
    if (found.is_vector()) {
        if (format == BlockFormat::kF32 || format == BlockFormat::kF16 ||
            format == BlockFormat::kBF16) {
            return {};
        }
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "is of type %s; norms and biases are F32, F16 or BF16", name);
    }
    if (is_supported(format)) return {};
    return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "is of type %s, which is not supported", name);
}

Status TensorFinder::refuse_unknown() const {
    for (size_t i = 0; i < headers_.size(); ++i) {
        const auto tensors = headers_[i].tensors();
        for (size_t t = 0; t < tensors.size(); ++t) {
            if (used_[i][t] || is_ignored(tensors[t].name)) continue;
            return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                               "tensor '%.*s' is not known to the family '%s' of %" PRId32
                               " layers",
                               static_cast<int>(tensors[t].name.size()), tensors[t].name.data(),
                               family_.name, hyper_.n_layer)
                .within(headers_[i].name().c_str());
        }
    }
    return {};
}

// "blk.N." with a layer of the model, then one of the family's leftovers.
bool TensorFinder::is_ignored(std::string_view name) const {
    constexpr std::string_view kPrefix = "blk.";
    if (!name.starts_with(kPrefix)) return false;
    const char* end = name.data() + name.size();
    int32_t layer = -1;
    const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, layer);
    if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != '.') return false;
    if (layer < 0 || layer >= hyper_.n_layer) return false;
    const std::string_view rest(parsed.ptr + 1, static_cast<size_t>(end - parsed.ptr - 1));
    for (const char* ignored : family_.ignored) {
        if (rest == ignored) return true;
    }
    return false;
}

}  // namespace

Result<std::vector<FoundTensor>> find_tensors(std::span<const GgufHeader> headers,
                                              const Family& family, const HyperParameters& hyper) {
    return TensorFinder(headers, family, hyper).run();
}

}  // namespace puna::core
