#include "model/load_progress.h"

namespace puna::core {

Status LoadProgress::report(double fraction) {
    if (interrupted_ != nullptr && interrupted_(interrupted_user_) != 0) {
        return make_status(PUNA_ERROR_CANCELLED, "%s was cancelled", work_);
    }
    if (progress_ == nullptr) return {};
    const double whole = begin_ + (end_ - begin_) * fraction;
    while (next_mark_ <= kMarks && static_cast<double>(next_mark_) / kMarks <= whole) {
        const float mark = static_cast<float>(next_mark_++) / kMarks;
        if (progress_(mark, progress_user_) != 0) {
            return make_status(PUNA_ERROR_CALLBACK_STOPPED,
                               "the progress callback stopped %s at %.0f %%", work_,
                               static_cast<double>(mark) * 100);
        }
    }
    return {};
}

}  // namespace puna::core
