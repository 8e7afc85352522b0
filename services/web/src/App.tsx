import { Navigate, Route, Routes } from "react-router";
import { ChatPage } from "./pages/ChatPage";
import { LogInPage } from "./pages/LogInPage";
import { RegisterPage } from "./pages/RegisterPage";
import { useAppSelector } from "./store";

export function App() {
  const session = useAppSelector((state) => state.session);
  if (session.state === "restoring") {
    return (
      <main className="waiting" aria-busy="true">
        <p role="status">Connecting…</p>
      </main>
    );
  }
  if (session.state === "out") {
    return (
      <Routes>
        <Route path="/register" element={<RegisterPage />} />
        <Route path="*" element={<LogInPage {...(session.reason === undefined ? {} : { notice: session.reason })} />} />
      </Routes>
    );
  }
  return (
    <Routes>
      <Route path="/c/:conversationId" element={<ChatPage account={session.account} />} />
      <Route path="/" element={<ChatPage account={session.account} />} />
      <Route path="*" element={<Navigate to="/" replace />} />
    </Routes>
  );
}
