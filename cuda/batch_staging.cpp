#include "cuda/batch_staging.h"

#include <algorithm>
#include <cstring>

#include "cuda/device_memory.h"

namespace puna::cuda {

namespace {

// Hands out parts of a block one after the other; the measuring and the filling of one agree by using it
// in the same way.
class Cursor {
  public:
    explicit Cursor(uint64_t at = 0) : at_(at) {}
    uint64_t take(uint64_t bytes) {
        const uint64_t offset = at_;
        at_ += (bytes + 15) / 16 * 16;
        return offset;
    }
    uint64_t at() const { return at_; }

  private:
    uint64_t at_;
};

template <class T>
uint64_t bytes_of(int64_t n) {
    return static_cast<uint64_t>(n) * sizeof(T);
}

uint64_t aligned(uint64_t bytes) {
    return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
}

// The pages of a row that sees n_ctx positions, wherever the first lies in its page.
int64_t most_pages_of_row(const puna_executor_options& options) {
    return (int64_t{options.n_ctx} + PUNA_KV_PAGE - 2) / PUNA_KV_PAGE + 1;
}

int64_t mask_words(const puna_model_spec& spec) {
    return (int64_t{spec.n_vocab} + 31) / 32;
}

// The count that a result begins with, and the log of the sum behind it.
struct ResultHead {
    int32_t n_filled;
    float log_sum_exp;
};

bool is_choice(const puna_batch_output& output) {
    return output.kind == PUNA_ROW_OUTPUT_ARGMAX || output.kind == PUNA_ROW_OUTPUT_TOP_K;
}

// Where the parts of one result lie.
struct ResultPlace {
    uint64_t head;
    uint64_t tokens;
    uint64_t values;
};

ResultPlace take_result(Cursor& cursor, bool has_tokens, int64_t n_values) {
    ResultPlace place = {};
    place.head = cursor.take(sizeof(ResultHead));
    place.tokens = cursor.take(has_tokens ? bytes_of<int32_t>(n_values) : 0);
    place.values = cursor.take(bytes_of<float>(n_values));
    return place;
}

cudaError_t to_device(void* to, const void* from, uint64_t size, cudaStream_t stream) {
    if (size == 0) return cudaSuccess;
    return cudaMemcpyAsync(to, from, static_cast<size_t>(size), cudaMemcpyHostToDevice, stream);
}

cudaError_t to_host(void* to, const void* from, uint64_t size, cudaStream_t stream) {
    if (size == 0) return cudaSuccess;
    return cudaMemcpyAsync(to, from, static_cast<size_t>(size), cudaMemcpyDeviceToHost, stream);
}

}  // namespace

BatchStaging::BatchStaging(const Weights& weights, const puna_executor_options& options)
    : weights_(weights), options_(options) {
    const puna_model_spec& spec = weights.spec;
    const int64_t n_outputs = weights.has_head ? options.max_outputs : 0;
    const int64_t n_head = std::min<int64_t>(n_outputs, kMostHeadRows);
    // Rows of one view follow each other, so a batch sees few more pages than its first rows do.
    most_pages_ = static_cast<uint64_t>(options.max_views * (most_pages_of_row(options) + 1) +
                                        options.max_rows / PUNA_KV_PAGE);
    Cursor input;
    input.take(bytes_of<int32_t>(n_head));
    input.take(bytes_of<DeviceOutput>(n_head));
    for (int64_t i = 0; i < n_head; ++i) {
        input.take(bytes_of<puna_logit_bias>(options.max_bias));
        input.take(bytes_of<uint32_t>(mask_words(spec)));
    }
    input = Cursor(aligned(input.at()));
    input.take(bytes_of<puna_batch_row>(options.max_rows));
    input.take(bytes_of<int32_t>(options.max_views));
    input.take(bytes_of<AttentionPiece>(options.max_rows));
    input.take(bytes_of<int32_t>(options.max_rows));
    input.take(most_pages_ * sizeof(int32_t));
    input_capacity_ = aligned(input.at());
    if (n_head > 0) {
        Cursor one;  // the largest that there can be
        take_result(one, true, std::max(spec.n_vocab, spec.n_embd));
        Cursor logits;
        for (int64_t i = 0; i < n_head; ++i) take_result(logits, false, spec.n_vocab);
        result_capacity_ = aligned(std::max(one.at(), logits.at()));
    }
    if (!weights.has_embedding || !weights.has_head) {
        hidden_capacity_ = bytes_of<float>(int64_t{options.max_rows} * spec.n_embd);
    }
    chunk_ends_.reserve(static_cast<size_t>(n_outputs));
    output_rows_.reserve(static_cast<size_t>(n_outputs));
    requests_.reserve(static_cast<size_t>(n_head));
    first_pages_.resize(static_cast<size_t>(options.max_views));
    end_pages_.resize(static_cast<size_t>(options.max_views));
    attention_.pieces.reserve(static_cast<size_t>(options.max_rows));
    attention_.alone.reserve(static_cast<size_t>(options.max_rows));
}

void BatchStaging::set_memory(uint8_t* device, uint8_t* pinned) {
    device_input_ = device;
    device_results_ = device + input_capacity_;
    input_ = pinned;
    results_ = pinned + input_capacity_;
    hidden_ = pinned + device_bytes();
}

// ---- Rows and pages ------------------------------------------------------------------------------

// Of each view, those that its rows see.
void BatchStaging::find_pages(const puna_batch& batch) {
    std::fill_n(first_pages_.begin(), batch.n_views, INT32_MAX);
    std::fill_n(end_pages_.begin(), batch.n_views, 0);
    int32_t longest = 0;
    for (int32_t r = 0; r < batch.n_rows; ++r) {
        const puna_batch_row& row = batch.rows[r];
        const auto view = static_cast<size_t>(row.view);
        const int32_t first = row.first / PUNA_KV_PAGE;
        const int32_t end = row.position / PUNA_KV_PAGE + 1;
        first_pages_[view] = std::min(first_pages_[view], first);
        end_pages_[view] = std::max(end_pages_[view], end);
        longest = std::max(longest, end - first);
    }
    if (batch.n_rows <= kFewRows) {
        // A graph holds how far attention is split: it is used again until a sequence is twice as long.
        int32_t rounded = 1;
        while (rounded < longest) rounded *= 2;
        longest = static_cast<int32_t>(std::min<int64_t>(rounded, most_pages_of_row(options_)));
    }
    batch_.n_pages_of_longest = longest;
}

Status BatchStaging::stage_pages(const puna_batch& batch, int32_t* view_pages, int32_t* pages) {
    uint64_t n = 0;
    for (int32_t v = 0; v < batch.n_views; ++v) {
        const int32_t first = first_pages_[static_cast<size_t>(v)];
        const int32_t end = end_pages_[static_cast<size_t>(v)];
        // Of pages before the first nothing is kept, so the view can begin before the array.
        view_pages[v] = static_cast<int32_t>(n) - (end == 0 ? 0 : first);
        if (end == 0) continue;
        if (static_cast<uint64_t>(end - first) > most_pages_ - n) {
            return make_status(PUNA_ERROR_ARGUMENT,
                               "batch: view %d: rows %d pages apart are too far from each other", v,
                               end - first);
        }
        for (int32_t i = first; i < end; ++i) pages[n++] = batch.views[v].pages[i];
    }
    input_bytes_ += n * sizeof(int32_t);
    return {};
}

void BatchStaging::place_pieces(uint64_t pieces, uint64_t alone) {
    std::ranges::copy(attention_.pieces, reinterpret_cast<AttentionPiece*>(input_ + pieces));
    std::ranges::copy(attention_.alone, reinterpret_cast<int32_t*>(input_ + alone));
    batch_.n_pieces = static_cast<int32_t>(attention_.pieces.size());
    batch_.n_alone = static_cast<int32_t>(attention_.alone.size());
    batch_.n_pages_of_alone = attention_.n_pages_of_alone;
    batch_.pieces = reinterpret_cast<const AttentionPiece*>(device_input_ + pieces);
    batch_.alone = reinterpret_cast<const int32_t*>(device_input_ + alone);
}

Status BatchStaging::stage(const puna_batch& batch) {
    output_rows_.assign(static_cast<size_t>(batch.n_outputs), -1);
    for (int32_t r = 0; r < batch.n_rows && weights_.has_head; ++r) {
        const int32_t output = batch.rows[r].output;
        if (output >= 0) output_rows_[static_cast<size_t>(output)] = r;
    }
    cut_chunks(batch);
    uint64_t chunk_bytes = 0;
    for (int32_t begin = 0; const int32_t end : chunk_ends_) {
        chunk_bytes = std::max(chunk_bytes, request_bytes(batch, begin, end));
        begin = end;
    }
    rows_offset_ = aligned(chunk_bytes);
    Cursor cursor(rows_offset_);
    const uint64_t rows = cursor.take(bytes_of<puna_batch_row>(batch.n_rows));
    const uint64_t view_pages = cursor.take(bytes_of<int32_t>(batch.n_views));
    const auto n_divided = static_cast<size_t>(batch.n_rows > kFewRows ? batch.n_rows : 0);
    divide_rows(weights_.spec, {batch.rows, n_divided}, attention_);
    const uint64_t pieces = cursor.take(attention_.pieces.size() * sizeof(AttentionPiece));
    const uint64_t alone = cursor.take(attention_.alone.size() * sizeof(int32_t));
    const uint64_t pages = cursor.at();
    input_bytes_ = pages;
    find_pages(batch);
    place_pieces(pieces, alone);
    std::memcpy(input_ + rows, batch.rows, bytes_of<puna_batch_row>(batch.n_rows));
    PUNA_TRY(stage_pages(batch, reinterpret_cast<int32_t*>(input_ + view_pages),
                         reinterpret_cast<int32_t*>(input_ + pages)));
    batch_.n_rows = batch.n_rows;
    batch_.rows = reinterpret_cast<const puna_batch_row*>(device_input_ + rows);
    batch_.view_pages = reinterpret_cast<const int32_t*>(device_input_ + view_pages);
    batch_.pages = reinterpret_cast<const int32_t*>(device_input_ + pages);
    requests_.clear();
    batch_.n_outputs = 0;
    batch_.has_all_outputs = n_chunks() <= 1;
    if (n_chunks() == 1) stage_chunk(batch, 0);
    if (batch.hidden_in) std::memcpy(hidden_, batch.hidden_in, hidden_bytes(batch));
    return {};
}

cudaError_t BatchStaging::enqueue_input(const puna_batch& batch, float* hidden_rows,
                                        cudaStream_t stream) {
    const uint64_t begin = n_chunks() == 1 ? 0 : rows_offset_;
    const cudaError_t error =
        to_device(device_input_ + begin, input_ + begin, input_bytes_ - begin, stream);
    if (error != cudaSuccess || !batch.hidden_in) return error;
    return to_device(hidden_rows, hidden_, hidden_bytes(batch), stream);
}

// ---- Outputs -------------------------------------------------------------------------------------

int64_t BatchStaging::n_values(const puna_batch_output& output) const {
    switch (output.kind) {
        case PUNA_ROW_OUTPUT_HIDDEN:
            return weights_.spec.n_embd;
        case PUNA_ROW_OUTPUT_LOGITS:
            return weights_.spec.n_vocab;
        case PUNA_ROW_OUTPUT_TOP_K:
            return output.k;
        default:
            return 1;
    }
}

uint64_t BatchStaging::result_bytes(const puna_batch_output& output) const {
    Cursor cursor;
    take_result(cursor, is_choice(output), n_values(output));
    return cursor.at();
}

// As stage_chunk() lays them out.
uint64_t BatchStaging::request_bytes(const puna_batch& batch, int32_t begin, int32_t end) const {
    Cursor cursor;
    cursor.take(bytes_of<int32_t>(end - begin));
    cursor.take(bytes_of<DeviceOutput>(end - begin));
    for (int32_t i = begin; i < end; ++i) {
        if (!is_choice(batch.outputs[i])) continue;
        cursor.take(bytes_of<puna_logit_bias>(batch.outputs[i].n_bias));
        if (batch.outputs[i].mask) cursor.take(bytes_of<uint32_t>(mask_words(weights_.spec)));
    }
    return cursor.at();
}

void BatchStaging::cut_chunks(const puna_batch& batch) {
    chunk_ends_.clear();
    uint64_t bytes = 0;
    int32_t n = 0;
    for (int32_t i = 0; i < batch.n_outputs; ++i) {
        const uint64_t more = result_bytes(batch.outputs[i]);
        if (n == kMostHeadRows || bytes + more > result_capacity_) {
            chunk_ends_.push_back(i);
            bytes = 0;
            n = 0;
        }
        bytes += more;
        ++n;
    }
    if (batch.n_outputs > 0) chunk_ends_.push_back(batch.n_outputs);
}

void BatchStaging::stage_chunk(const puna_batch& batch, int32_t chunk) {
    chunk_ = chunk;
    const int32_t begin = chunk == 0 ? 0 : chunk_ends_[static_cast<size_t>(chunk) - 1];
    const int32_t n = chunk_ends_[static_cast<size_t>(chunk)] - begin;
    Cursor input;
    Cursor results;
    const uint64_t rows = input.take(bytes_of<int32_t>(n));
    const uint64_t requests = input.take(bytes_of<DeviceOutput>(n));
    requests_.clear();
    for (int32_t i = begin; i < begin + n; ++i) {
        const puna_batch_output& output = batch.outputs[i];
        const ResultPlace place = take_result(results, is_choice(output), n_values(output));
        DeviceOutput& request = requests_.emplace_back();
        request.kind = output.kind;
        request.k = output.kind == PUNA_ROW_OUTPUT_ARGMAX ? 1 : output.k;
        request.values = reinterpret_cast<float*>(device_results_ + place.values);
        auto* head = reinterpret_cast<ResultHead*>(device_results_ + place.head);
        request.n_filled = &head->n_filled;
        if (output.log_sum_exp) request.log_sum_exp = &head->log_sum_exp;
        if (!is_choice(output)) continue;
        request.tokens = reinterpret_cast<int32_t*>(device_results_ + place.tokens);
        request.n_bias = output.n_bias;
        const uint64_t bias_bytes = bytes_of<puna_logit_bias>(output.n_bias);
        const uint64_t bias = input.take(bias_bytes);
        if (output.n_bias > 0) {
            std::memcpy(input_ + bias, output.bias, bias_bytes);
            request.bias = reinterpret_cast<const puna_logit_bias*>(device_input_ + bias);
        }
        if (!output.mask) continue;
        const uint64_t mask_bytes = bytes_of<uint32_t>(mask_words(weights_.spec));
        const uint64_t mask = input.take(mask_bytes);
        std::memcpy(input_ + mask, output.mask, mask_bytes);
        request.mask = reinterpret_cast<const uint32_t*>(device_input_ + mask);
    }
    std::memcpy(input_ + rows, output_rows_.data() + begin, bytes_of<int32_t>(n));
    std::memcpy(input_ + requests, requests_.data(), bytes_of<DeviceOutput>(n));
    batch_.n_outputs = n;
    batch_.output_rows = reinterpret_cast<const int32_t*>(device_input_ + rows);
    device_requests_ = reinterpret_cast<const DeviceOutput*>(device_input_ + requests);
    chunk_bytes_ = input.at();
    result_bytes_ = results.at();
}

cudaError_t BatchStaging::enqueue_chunk_input(cudaStream_t stream) {
    return to_device(device_input_, input_, chunk_bytes_, stream);
}

cudaError_t BatchStaging::enqueue_results(cudaStream_t stream) {
    return to_host(results_, device_results_, result_bytes_, stream);
}

void BatchStaging::deliver(const puna_batch& batch) {
    const int32_t begin = chunk_ == 0 ? 0 : chunk_ends_[static_cast<size_t>(chunk_) - 1];
    const int32_t end = chunk_ends_[static_cast<size_t>(chunk_)];
    Cursor results;
    for (int32_t i = begin; i < end; ++i) {
        puna_batch_output& output = batch.outputs[i];
        const int64_t n = n_values(output);
        const ResultPlace place = take_result(results, is_choice(output), n);
        const auto* head = reinterpret_cast<const ResultHead*>(results_ + place.head);
        output.n_filled = is_choice(output) ? std::clamp(head->n_filled, 0, static_cast<int32_t>(n))
                                            : static_cast<int32_t>(n);
        const auto n_filled = static_cast<size_t>(output.n_filled);
        std::memcpy(output.values, results_ + place.values, n_filled * sizeof(float));
        if (is_choice(output)) {
            std::memcpy(output.tokens, results_ + place.tokens, n_filled * sizeof(int32_t));
        }
        if (output.log_sum_exp) *output.log_sum_exp = head->log_sum_exp;
    }
}

// ---- Hidden rows ---------------------------------------------------------------------------------

size_t BatchStaging::hidden_bytes(const puna_batch& batch) const {
    return static_cast<size_t>(bytes_of<float>(int64_t{batch.n_rows} * weights_.spec.n_embd));
}

cudaError_t BatchStaging::enqueue_hidden_out(const puna_batch& batch, const float* hidden_rows,
                                             cudaStream_t stream) {
    return to_host(hidden_, hidden_rows, hidden_bytes(batch), stream);
}

void BatchStaging::deliver_hidden(const puna_batch& batch) {
    std::memcpy(batch.hidden_out, hidden_, hidden_bytes(batch));
}

}  // namespace puna::cuda
