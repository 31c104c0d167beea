// Workspaces that calls borrow: concurrent calls on one object never share one, and a call of a
// size seen before allocates nothing.
#pragma once

#include <memory>
#include <mutex>

namespace lstmcore {

template <class Workspace>
class WorkspacePool {
 public:
  // Gives the workspace back when it goes out of scope.
  class Loan {
   public:
    Loan(WorkspacePool& pool, std::unique_ptr<Workspace> workspace)
        : pool_(&pool), workspace_(std::move(workspace)) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { pool_->give_back(std::move(workspace_)); }
    Workspace& operator*() const noexcept { return *workspace_; }
    Workspace* operator->() const noexcept { return workspace_.get(); }

   private:
    WorkspacePool* pool_;
    std::unique_ptr<Workspace> workspace_;
  };

  Loan borrow() {
    {
      const std::scoped_lock lock(mutex_);
      if (idle_ != nullptr) return Loan(*this, std::move(idle_));
    }
    return Loan(*this, std::make_unique<Workspace>());
  }

 private:
  void give_back(std::unique_ptr<Workspace> workspace) noexcept {
    const std::scoped_lock lock(mutex_);
    // One is kept: what concurrent calls needed beyond it is freed when they are over.
    idle_ = std::move(workspace);
  }

  std::mutex mutex_;
  std::unique_ptr<Workspace> idle_;
};

}  // namespace lstmcore
