import { Navigate, Route, Routes } from "react-router";
import { AccountPage } from "./account/AccountPage";
import { ChatPage } from "./pages/ChatPage";
import { ForgotPasswordPage } from "./pages/ForgotPasswordPage";
import { LogInPage } from "./pages/LogInPage";
import { RegisterPage } from "./pages/RegisterPage";
import { ResetPasswordPage } from "./pages/ResetPasswordPage";
import { VerifyEmailPage } from "./pages/VerifyEmailPage";
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
        <Route path="/forgot-password" element={<ForgotPasswordPage />} />
        <Route path="/reset-password" element={<ResetPasswordPage />} />
        <Route path="/verify-email" element={<VerifyEmailPage />} />
        <Route path="*" element={<LogInPage {...(session.reason === undefined ? {} : { notice: session.reason })} />} />
      </Routes>
    );
  }
  return (
    <Routes>
      <Route path="/c/:conversationId" element={<ChatPage account={session.account} />} />
      <Route path="/" element={<ChatPage account={session.account} />} />
      <Route path="/account" element={<AccountPage account={session.account} />} />
      <Route path="/forgot-password" element={<ForgotPasswordPage />} />
      <Route path="/reset-password" element={<ResetPasswordPage />} />
      <Route path="/verify-email" element={<VerifyEmailPage />} />
      <Route path="*" element={<Navigate to="/" replace />} />
    </Routes>
  );
}
