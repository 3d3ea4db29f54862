#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "control/files.h"
#include "control/gated_process.h"
#include "control/launcher.h"

namespace forebay {
namespace {

// Launches sleep(1): what a worker does is not the launcher's.
class ProcessLauncherTest : public testing::Test {
 protected:
  ProcessLauncherTest() {
    std::string name = testing::TempDir() + "launcher-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  ~ProcessLauncherTest() override {
    const auto launcher = Make();
    for (const LaunchedProcess& process : launcher->Observe()) launcher->Kill(process.name);
    std::filesystem::remove_all(directory_);
  }

  std::unique_ptr<ProcessLauncher> Make(const std::string& executable = "/bin/sleep") {
    Result<std::unique_ptr<ProcessLauncher>> launcher = ProcessLauncher::Create(
        {.executable = executable, .directory = directory_, .arguments = [](const std::string&) {
           return std::vector<std::string>{"1000"};
         }});
    EXPECT_TRUE(launcher.ok());
    return std::move(launcher).value();
  }

  static LaunchedProcess AwaitEnd(Launcher& launcher) {
    while (launcher.Observe().at(0).running) std::this_thread::yield();
    return launcher.Observe().at(0);
  }

  std::string directory_;
};

TEST_F(ProcessLauncherTest, StartsStopsAndForgets) {
  const auto launcher = Make();
  EXPECT_TRUE(launcher->Observe().empty());
  ASSERT_TRUE(launcher->Start("w-0").ok());
  const LaunchedProcess process = launcher->Observe().at(0);
  EXPECT_TRUE(process.running);
  EXPECT_EQ(getsid(process.pid), process.pid);  // Outlives our terminal.
  launcher->Forget("w-0");                      // It runs: nothing is forgotten.
  EXPECT_EQ(launcher->Observe().size(), 1u);
  launcher->Stop("w-0");
  EXPECT_EQ(AwaitEnd(*launcher).ending, "killed by signal 15");
  launcher->Forget("w-0");
  EXPECT_TRUE(launcher->Observe().empty());
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(ProcessLauncherTest, StopsOneThatIsSuspended) {
  const auto launcher = Make();
  ASSERT_TRUE(launcher->Start("w-0").ok());
  kill(launcher->Observe().at(0).pid, SIGSTOP);
  launcher->Stop("w-0");
  EXPECT_FALSE(AwaitEnd(*launcher).running);
}

TEST_F(ProcessLauncherTest, ALaterOneAdoptsWhatRuns) {
  int pid = 0;
  {
    const auto launcher = Make();
    ASSERT_TRUE(launcher->Start("w-0").ok());
    pid = launcher->Observe().at(0).pid;
  }
  const auto launcher = Make();
  const LaunchedProcess process = launcher->Observe().at(0);
  EXPECT_EQ(process.pid, pid);
  EXPECT_TRUE(process.running);
  launcher->Kill("w-0");
  EXPECT_FALSE(AwaitEnd(*launcher).running);
}

TEST_F(ProcessLauncherTest, AnotherProcessOfThatPidIsAStranger) {
  // Ours, but by its start time not the one that was recorded.
  ASSERT_TRUE(ReplaceFile(directory_ + "/w-0.pid", std::to_string(getpid()) + " 1\n").ok());
  ASSERT_TRUE(ReplaceFile(directory_ + "/w-1.pid", "not a record").ok());
  const auto launcher = Make();
  ASSERT_EQ(launcher->Observe().size(), 2u);
  EXPECT_FALSE(launcher->Observe().at(0).running);
  EXPECT_FALSE(launcher->Observe().at(1).running);
  launcher->Kill("w-0");  // Or this test would end here.
  launcher->Forget("w-0");
  EXPECT_EQ(launcher->Observe().size(), 1u);
}

TEST_F(ProcessLauncherTest, WhoIsNotLetRunNothing) {
  const std::string mark = directory_ + "/mark";
  const GatedProgram touch = {
      .executable = "/bin/touch", .arguments = {mark}, .environment = {}, .log = "/dev/null"};
  for (const bool let : {false, true}) {
    int pid = 0;
    {
      Result<GatedProcess> child = GatedProcess::Fork(touch);
      ASSERT_TRUE(child.ok());
      pid = child.value().pid();
      if (let) {
        ASSERT_TRUE(child.value().Run().ok());
      }
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), let ? 0 : 127);
    EXPECT_EQ(std::filesystem::exists(mark), let);
  }
}

TEST_F(ProcessLauncherTest, RemovesWhatAStartThatWasCutShortLeft) {
  for (const char* name : {"/w-0.pid.new", "/w-0.log", "/w-1.pid", "/w-1.log"}) {
    ASSERT_TRUE(ReplaceFile(directory_ + name, "").ok());
  }
  const auto launcher = Make();
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/w-0.pid.new"));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/w-0.log"));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/w-1.log"));
}

TEST_F(ProcessLauncherTest, WithoutARecordNobodyRuns) {
  const auto launcher = Make();
  std::filesystem::create_directory(directory_ + "/w-0.pid");
  ASSERT_FALSE(launcher->Start("w-0").ok());
  EXPECT_EQ(AwaitEnd(*launcher).ending, "exited with status 127");
}

TEST_F(ProcessLauncherTest, SaysWhatCannotBeStarted) {
  const auto launcher = Make("/nonexistent");
  const Status started = launcher->Start("w-0");
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().message().find("/nonexistent"), std::string::npos);
}

}  // namespace
}  // namespace forebay
