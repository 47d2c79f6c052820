// The objects behind the handles of puna_backend.h.
#pragma once

#include "fake_device.h"
#include "fake_model.h"

struct puna_backend {
    puna_backend(const puna_host_services& host_services, uint64_t bytes)
        : services(host_services), memory(bytes) {}

    const puna_host_services& services;
    fake::DeviceMemory memory;
    int64_t layer_us = 0;
    int64_t fail_advance = 0;
    std::atomic<int64_t> n_advances{0};
    std::atomic<int32_t> n_children{0};
};

struct puna_layer_set {
    puna_layer_set(puna_backend& owner, fake::Plan&& checked);
    ~puna_layer_set() { --backend.n_children; }

    puna_backend& backend;
    const fake::Plan plan;
    fake::DeviceShare share;
    fake::Row frequencies;
    fake::LayerWeights model;  // roles without a layer
    std::vector<fake::LayerWeights> layers;
    std::vector<puna_layers_format> formats;
    std::atomic<int32_t> n_children{0};

  private:
    void upload(const puna_tensor& tensor);
};

struct puna_executor {
    puna_executor(puna_layer_set& owner, const puna_executor_options& given);
    ~puna_executor() { --layers.n_children; }

    static puna_executor_options checked(const puna_executor_options* given);
    static uint64_t kv_bytes(const fake::Plan& plan, const puna_executor_options& options);
    static uint64_t scratch_bytes(const fake::Plan& plan, const puna_executor_options& options);

    void begin(const puna_batch& given);
    void advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user,
                 puna_progress& progress);
    void abandon() noexcept;
    void move(const puna_kv_move* moves, int32_t n_moves);
    void drop(int32_t first_cell, int32_t n_cells) noexcept;
    // Both directions: `in` is NULL when reading, `out` when writing.
    void transfer(int32_t layer, int32_t keys_or_values, const int32_t* cells, int32_t n_cells,
                  const void* in, void* out, size_t size);

    puna_layer_set& layers;
    const puna_executor_options options;
    fake::DeviceShare kv_share;
    fake::DeviceShare scratch_share;

  private:
    enum : uint8_t { kHeld = 1, kInBatch = 2 };

    void check_batch() const;
    void check_row(int32_t index);
    void check_output(int32_t index) const;
    void run_step();
    void embed();
    fake::Row write_kv(size_t index, const puna_batch_row& row, const float* x);
    void run_layer(size_t index);
    fake::Row attend(size_t index, const puna_batch_row& row, const fake::Row& q);
    void fill(puna_batch_output& output, const float* x);
    void choose(puna_batch_output& output, std::vector<float>& logits) const;
    void move_one(const puna_kv_move& move);
    void poison(int32_t cell) noexcept;
    uint8_t& mark(int32_t cell) { return cells_[static_cast<size_t>(cell)]; }
    float* hidden(int32_t r) { return x_.data() + fake::product(r, spec_.n_embd); }

    const puna_model_spec& spec_;
    fake::KvArray keys_;
    fake::KvArray values_;
    bool active_ = false;
    puna_batch batch_{};
    int32_t step_ = 0;
    std::vector<uint8_t> cells_;  // kHeld, kInBatch
    std::vector<int32_t> last_;   // by view: the position of its last row
    std::vector<float> x_;        // [rows][n_embd]
};
