import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Provider } from "react-redux";
import { BrowserRouter } from "react-router";
import { App } from "./App";
import { Platform, PlatformProvider } from "./platform";
import { makeStore } from "./store";
import "./styles.css";

const store = makeStore();
const platform = new Platform(store);
void platform.restore();

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Provider store={store}>
        <PlatformProvider platform={platform}>
          <BrowserRouter>
            <App />
          </BrowserRouter>
        </PlatformProvider>
      </Provider>
    </StrictMode>,
  );
}
