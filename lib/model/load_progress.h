// LoadProgress: tells the host how far a load (or the writing of a file) is, and learns from it
// whether to stop.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "puna/puna_backend.h"

namespace puna::core {

// Used on the loading thread only.
class LoadProgress {
  public:
    LoadProgress() = default;  // nobody listens
    // Either function may be null. `interrupted` is asked far more often than `progress` is told.
    // `work` names it in messages.
    LoadProgress(puna_progress_fn progress, void* progress_user, puna_interrupted_fn interrupted,
                 void* interrupted_user, const char* work = "the load")
        : work_(work),
          progress_(progress),
          progress_user_(progress_user),
          interrupted_(interrupted),
          interrupted_user_(interrupted_user) {}

    // What follows is this part of the whole load; stages follow each other without gaps.
    void set_stage(float begin, float end) {
        begin_ = begin;
        end_ = end;
    }

    // `fraction` of the stage is done. The host hears of every 1/32 of the whole in turn, so it
    // sees a rise from 0 to 1 in 33 calls however large the pieces of work are.
    // PUNA_ERROR_CALLBACK_STOPPED or PUNA_ERROR_CANCELLED when it wants no more.
    Status report(double fraction);

  private:
    static constexpr int kMarks = 32;

    const char* work_ = "the load";
    puna_progress_fn progress_ = nullptr;
    void* progress_user_ = nullptr;
    puna_interrupted_fn interrupted_ = nullptr;
    void* interrupted_user_ = nullptr;
    double begin_ = 0;
    double end_ = 1;
    int next_mark_ = 0;
};

}  // namespace puna::core
