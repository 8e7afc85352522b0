/** The JSON bodies of the platform's REST and Socket.IO interfaces, as the services write them. */

export interface User {
  id: string;
  username: string;
  displayName: string;
  avatarId?: string;
  createdAt: string;
}

export interface Account extends User {
  email: string;
  emailVerified: boolean;
  secondStep: boolean;
  roles: string[];
}

/** The answer to a log-in with the right password where a second step is asked for. */
export interface SecondStepRequired {
  challenge: string;
  expiresIn: number;
  methods: ("totp" | "recovery-code")[];
}

/** How the second step of one's own log-in stands. */
export interface SecondStep {
  enabled: boolean;
  since?: string;
  recoveryCodesLeft?: number;
}

/** What an authenticator app needs; shown once. */
export interface SecondStepSecret {
  /** In base32, to be typed. */
  secret: string;
  /** `otpauth://...`, to be scanned. */
  uri: string;
}

/** What is known of a file. */
export interface Media {
  id: string;
  contentType: string;
}

/** The answer to a registration, a log-in or a refresh. `expiresIn` counts seconds. */
export interface Tokens {
  user: Account;
  accessToken: string;
  refreshToken: string;
  tokenType: "Bearer";
  expiresIn: number;
}

export interface Member {
  userId: string;
  role: "owner" | "admin" | "member";
}

export interface Conversation {
  id: string;
  type: "direct" | "group";
  title?: string;
  members: Member[];
  /** The number of the conversation's latest change. */
  seq: number;
  lastMessageAt?: string;
  createdAt: string;
  updatedAt: string;
  /** How far each member has read. */
  read: Record<string, number>;
}

export interface Message {
  id: string;
  conversationId: string;
  /** The number of the message in its conversation; the order in which it is shown. */
  seq: number;
  /** The number of the message's last change; a reader's cursor. */
  changeSeq?: number;
  senderId: string;
  text: string;
  createdAt: string;
  editedAt?: string;
  deletedAt?: string;
  replyTo?: string;
  nonce?: string;
}

export interface Page<T> {
  items: T[];
  nextCursor?: string;
}

/** RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail?: string;
  traceId?: string;
  errors?: { field: string; message: string }[];
}

export type Acknowledgement<T> = ({ ok: true } & T) | { ok: false; error: Problem };

export interface Changes {
  changes: Record<string, Message[]>;
  /** Conversations with more changes than one answer holds: ask again from the last one received. */
  more: string[];
}
